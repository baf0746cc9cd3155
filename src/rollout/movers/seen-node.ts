/** A server as the cloud lists it, for a rollout. Pure. */
import { type CloudNode, holdTag } from "../../huaweicloud/nodes.ts";
import type { MoverKind, SeenNode } from "../ports.ts";

/** @param group The AS group that it is a member of. */
export const seenNode = (
  { id, name, hostname, image, power, task, tags }: CloudNode,
  kind: MoverKind,
  group: SeenNode["group"],
): SeenNode => ({ id, name, hostname, kind, image, power, task, tags, heldBy: tags[holdTag], group });
