/** What a preflight says of VPC, subnet and security group. Pure. */
import { type HuaweiCloudTarget, metadataAddress } from "../../node/target.ts";
import { type Ipv4Range, ipv4Range } from "../../profile/ipv4.ts";
import { CloudError } from "../client.ts";
import { judged, type Line, notChecked, type Seen } from "./line.ts";
import type { Look, SeenRule } from "./look.ts";

const everywhere: Ipv4Range = { first: 0, last: 2 ** 32 - 1 };

/** Which addresses a rule is about; undefined for members of groups, which only the cloud knows. */
const remoteOf = ({ remote_ip_prefix: prefix, remote_group_id: group, remote_address_group_id: list }: SeenRule) =>
  (group ?? "") !== "" || (list ?? "") !== ""
    ? undefined
    : (prefix ?? "") === ""
      ? everywhere
      : ipv4Range(prefix ?? "");

const covers = (outer: Ipv4Range, inner: Ipv4Range): boolean => outer.first <= inner.first && outer.last >= inner.last;

const isTcp = (protocol: SeenRule["protocol"]): boolean => ["", "tcp", "6"].includes((protocol ?? "").toLowerCase());

/** `22`, `1-30`, `22,3389,80`; empty: all. */
const holdsPort = (ports: SeenRule["multiport"], port: number): boolean =>
  (ports ?? "") === "" ||
  (ports ?? "").split(",").some((part) => {
    const [from = 0, to = from] = part.split("-").map(Number);
    return from <= port && port <= to;
  });

/** The first that is about a connection goes: 1 before 100, and of the same number what forbids. */
const inOrder = (rules: readonly SeenRule[]): SeenRule[] =>
  rules.toSorted(
    (a, b) => (a.priority ?? 1) - (b.priority ?? 1) || Number(a.action !== "deny") - Number(b.action !== "deny"),
  );

export type Way =
  | { readonly kind: "open" }
  /** From or to some addresses alone: networks, or members of groups. */
  | { readonly kind: "some"; readonly from: readonly string[] }
  | { readonly kind: "closed" };

/**
 * Whether a group lets TCP connections through to a port.
 * @param remote The other side; without it any, of which some may be let through.
 */
export const wayThrough = (
  rules: readonly SeenRule[],
  direction: "ingress" | "egress",
  port: number,
  remote: Ipv4Range = everywhere,
): Way => {
  const from: string[] = [];
  for (const rule of inOrder(rules)) {
    if (rule.direction !== direction || (rule.ethertype ?? "IPv4") !== "IPv4") continue;
    if (!isTcp(rule.protocol) || !holdsPort(rule.multiport, port)) continue;
    const range = remoteOf(rule);
    if (range !== undefined && (range.last < remote.first || range.first > remote.last)) continue;
    const whole = range !== undefined && covers(range, remote);
    if (rule.action === "deny") {
      if (whole) break;
      continue;
    }
    if (whole) return { kind: "open" };
    from.push(range === undefined ? "members of a group" : (rule.remote_ip_prefix ?? ""));
  }
  return from.length > 0 ? { kind: "some", from: [...new Set(from)] } : { kind: "closed" };
};

const judgeRules = (rules: readonly SeenRule[], target: HuaweiCloudTarget): Line[] => {
  const ssh = wayThrough(rules, "ingress", 22);
  const metadata = wayThrough(rules, "egress", 80, ipv4Range(metadataAddress));
  return [
    judged(
      "ssh",
      "ssh to the server",
      ssh.kind === "some"
        ? `the security group lets ${ssh.from.join(", ")} in: Packer has to run there`
        : "the security group lets it in",
      ssh.kind === "closed" && {
        detail: "the security group lets nobody in by TCP 22",
        help: `Add an inbound rule to ${target.securityGroup}: TCP 22, from where Packer runs.`,
      },
    ),
    {
      ...judged(
        "metadata",
        "metadata service",
        metadata.kind === "some"
          ? `the security group lets the server out to ${metadata.from.join(", ")}: nobody but the cloud knows who they are`
          : `the security group lets the server out to ${metadataAddress}`,
        metadata.kind === "closed" && {
          detail: `the security group lets nothing out to ${metadataAddress} by TCP 80: cloud-init would get no user-data`,
          help: `Add an outbound rule to ${target.securityGroup}: TCP 80, to 169.254.0.0/16.`,
        },
      ),
      ...(metadata.kind === "some" && { outcome: "real run" as const }),
    },
  ];
};

/** A thing that is not there is wrong, and is no failure to look. */
const found = <T>(
  [id, title, setting]: readonly [id: string, title: string, setting: string],
  seen: Seen<T>,
  judge: (value: T) => Line[],
): Line[] => {
  if ("value" in seen) return judge(seen.value);
  const { error } = seen;
  if (!(error instanceof CloudError) || error.status !== 404) return [notChecked(id, title, error)];
  return [
    {
      id,
      title,
      outcome: "wrong",
      detail: error.message,
      help: `Look at targets.huaweicloud.${setting}: IDs differ by region and project.`,
    },
  ];
};

/** All lines about the network. */
export const networkLines = (seen: Look, target: HuaweiCloudTarget): Line[] => [
  ...found(["vpc", "VPC", "vpc"], seen.vpc, ({ status }) => [
    judged("vpc", "VPC", status, status !== "OK" && { help: "Wait until the VPC is OK, or take another one." }),
  ]),
  ...found(["subnet", "subnet", "subnet"], seen.subnet, (subnet) => [
    judged(
      "subnet",
      "subnet",
      `${subnet.cidr} of the VPC`,
      subnet.vpc_id !== target.vpc
        ? {
            detail: `it is in the VPC ${subnet.vpc_id}, not in ${target.vpc}`,
            help: "Change targets.huaweicloud.subnet or targets.huaweicloud.vpc.",
          }
        : (subnet.status ?? "ACTIVE") !== "ACTIVE" && {
            detail: `it is ${subnet.status ?? ""}`,
            help: "Wait until the subnet is ACTIVE, or take another one.",
          },
    ),
    judged(
      "dhcp",
      "DHCP of the subnet",
      "on",
      !subnet.dhcp_enable && {
        detail: "off: the server would get no address, and no user-data",
        help: "Turn DHCP on in the subnet's settings.",
      },
    ),
  ]),
  ...found(["security-group", "security group", "securityGroup"], seen.group, ({ security_group_rules: rules }) =>
    judgeRules(rules, target),
  ),
];
