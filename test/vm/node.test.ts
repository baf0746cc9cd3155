/**
 * What becomes of nodes, part by part in one file, because a boot takes minutes under TCG: a node to which things happen, what
 * its first boot would be after a power cut, a bake with canaries in every input, and a node of that other profile on the
 * first node's data disk, which is then set up partly by hand and checked by ssh.
 */
import { bakeWithCanaries } from "./node/canaries.ts";
import { aNodeToWhichThingsHappen } from "./node/events.ts";
import { checkByHand } from "./node/host-check.ts";
import { anotherProfile } from "./node/other-profile.ts";
import { powerCuts } from "./node/power-cut-tests.ts";

const first = aNodeToWhichThingsHappen();
powerCuts(first);
const canaries = bakeWithCanaries();
const other = anotherProfile(first, canaries);
checkByHand(other);
