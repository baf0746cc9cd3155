/** The metadata service of a node in a VM: answered while it is open, and not while it is closed. */
import type { NodePlan } from "../plan/node-plan.ts";
import { metadataAddress } from "../node/target.ts";
import type { Ssh } from "../vm/ssh.ts";
import { askFromContainer } from "./ci-job.ts";
import { type CheckResult, fromOutside } from "./results.ts";

/**
 * Whether something answers at the address, and only while it is open. The jobs saw that it is closed.
 * The node's unit is stopped for the time of the check, and started again.
 * @returns one result; none when the plan leaves the service open.
 */
export const checkMetadataService = async (ssh: Ssh, plan: NodePlan): Promise<CheckResult[]> => {
  if (!plan.facts.metadataClosed) return [];
  const ask = async (): Promise<boolean> =>
    (await ssh(`curl -s --max-time 10 http://${metadataAddress}/`, { allowFailure: true })).stdout !== "";
  const closed = !(await ask());
  await ssh("systemctl stop bake-metadata");
  const open = await ask();
  // The same containers as those of the job, which were to get no answer.
  const unanswered: string[] = [];
  for (const network of ["bridge", "host"]) {
    const { stdout } = await ssh(askFromContainer(plan, network), { allowFailure: true, timeout: 120_000 });
    if (stdout === "") unanswered.push(network);
  }
  await ssh("systemctl start bake-metadata");
  const closedAgain = !(await ask());
  return [
    fromOutside(
      "vm-metadata",
      ["G3"],
      "the metadata service answers host and containers when it is opened, and not when it is closed",
      [
        ...(closed ? [] : ["it answered the host although it is closed"]),
        ...(open ? [] : ["it does not answer at all in this VM: nothing was shown"]),
        ...unanswered.map((network) => `it does not answer a container on network ${network} when it is open`),
        ...(closedAgain ? [] : ["it answered after it was closed again"]),
      ],
    ),
  ];
};
