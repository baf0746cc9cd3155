/** One QEMU machine against a stand-in for QEMU that answers QMP: what it is started with, and what it is told while it runs. */
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { Host, RunResult } from "../../src/host/host.ts";
import { system } from "../../src/host/system.ts";
import { chooseAccelerator } from "../../src/vm/accelerator.ts";
import { bootVm, type VmOptions } from "../../src/vm/machine.ts";
import { openStackFiles } from "../../src/vm/datasource.ts";
import { metadataCommand, metadataForward, metadataService } from "../../src/vm/metadata-service.ts";
import { optionValue } from "../../src/vm/qemu.ts";
import { hostileStrings } from "../hostile.ts";

let folder = "";
/** Command lines, in order. */
let ran: string[][] = [];
/** What QMP was told, in order. */
let told: { readonly execute: string; readonly arguments: unknown }[] = [];

const done: RunResult = { exitCode: 0, stdout: "", stderr: "" };

/** Runs until it is cancelled, as QEMU does. */
const standInForQemu = (socket: string, cancel: AbortSignal | undefined): Promise<RunResult> =>
  new Promise((resolve) => {
    const server = createServer((peer) => {
      peer.on("data", (data) => {
        for (const line of data.toString().trim().split("\n")) {
          const { id, ...command } = JSON.parse(line) as { id: number; execute: string; arguments: { id?: string } };
          told.push(command);
          peer.write(`${JSON.stringify({ return: {}, id })}\n`);
          if (command.execute === "device_del") {
            peer.write(`${JSON.stringify({ event: "DEVICE_DELETED", data: { device: command.arguments.id } })}\n`);
          }
        }
      });
      cancel?.addEventListener("abort", () => peer.destroy());
    }).listen(socket);
    cancel?.addEventListener("abort", () => {
      server.close();
      resolve({ ...done, exitCode: 143 });
    });
  });

const host = (): Host => ({
  ...system,
  run: (file, args, options) => {
    ran.push([file, ...args]);
    const socket = /^unix:(.*),server=on/.exec(args[args.indexOf("-qmp") + 1] ?? "")?.[1];
    return file.startsWith("qemu-system-") && socket !== undefined
      ? standInForQemu(socket, options?.cancel)
      : Promise.resolve(done);
  },
  env: {},
  cacheDir: folder,
  signal: new AbortController().signal,
  progress: { note: () => undefined, step: (_id, _title, work) => work(() => undefined) },
});

const options = (changes: Partial<VmOptions> = {}): VmOptions => ({
  image: "/images/node.qcow2",
  workDir: folder,
  logDir: folder,
  memoryMiB: 2048,
  cpus: 2,
  accelerator: { accel: "tcg", architecture: "x86_64", cpuModel: "max", reason: "" },
  userData: "#cloud-config\n",
  metaData: "instance-id: one\n",
  key: { privateKeyFile: "/key", publicKey: "ssh-ed25519 AAAA" },
  ...changes,
});

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "bake-vm-"));
  ran = [];
  told = [];
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const block = (name: string, file: string, format: "qcow2" | "raw", readOnly = false): Record<string, unknown> => ({
  driver: format,
  "node-name": name,
  discard: "unmap",
  "read-only": readOnly,
  cache: { direct: false, "no-flush": true },
  file: {
    driver: "file",
    filename: file,
    discard: "unmap",
    "read-only": readOnly,
    cache: { direct: false, "no-flush": true },
  },
});

test("QEMU's devices come in the order in which the guest has to find them", async () => {
  const vm = await bootVm(host(), options({ dataDiskGiB: 5, freePorts: 1, metadata: "given\n" }));
  await vm.kill();
  expect(ran.slice(0, 3)).toEqual([
    [
      ...["xorriso", "-as", "genisoimage", "-quiet", "-volid", "cidata", "-joliet", "-rock"],
      ...["-output", join(folder, "seed.iso"), join(folder, "seed")],
    ],
    [
      ...["qemu-img", "create", "-q", "-f", "qcow2", "-b", "/images/node.qcow2", "-F", "qcow2"],
      join(folder, "system.qcow2"),
    ],
    ["qemu-img", "create", "-q", "-f", "qcow2", join(folder, "disk-data.qcow2"), "5G"],
  ]);
  const [, ...args] = ran[3] ?? [];
  expect(args.slice(0, args.indexOf("-qmp"))).toEqual([
    ...["-machine", "q35", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "2048"],
    ...["-display", "none", "-monitor", "none", "-nodefaults", "-vga", "std"],
    ...["-chardev", `file,id=console,path=${join(folder, "console.log")},append=on`, "-serial", "chardev:console"],
    ...["-blockdev", JSON.stringify(block("system", join(folder, "system.qcow2"), "qcow2"))],
    ...["-device", "virtio-blk-pci,drive=system"],
    ...["-blockdev", JSON.stringify(block("seed", join(folder, "seed.iso"), "raw", true))],
    ...["-device", "virtio-blk-pci,drive=seed"],
    ...["-netdev", `user,id=net,host=10.0.2.2,hostfwd=tcp:127.0.0.1:${vm.sshPort}-:22`],
    ...["-device", "virtio-net-pci,netdev=net,romfile="],
    "-netdev",
    `user,id=metadata,restrict=on,ipv6=off,net=169.254.169.0/24,guestfwd=tcp:169.254.169.254:80-cmd:/bin/sh '${join(folder, "metadata.sh")}'`,
    ...["-device", "virtio-net-pci,netdev=metadata,romfile="],
    ...["-device", "virtio-rng-pci"],
    ...["-device", "pcie-root-port,id=port0,chassis=1,slot=1"],
    ...["-device", "pcie-root-port,id=port1,chassis=2,slot=2"],
    ...["-blockdev", JSON.stringify(block("disk-data", join(folder, "disk-data.qcow2"), "qcow2"))],
    "-device",
    JSON.stringify({ driver: "nvme", id: "data", drive: "disk-data", serial: "bake-check-1", bus: "port0" }),
  ]);
  expect(readFileSync(join(folder, "seed/user-data"), "utf8")).toBe("#cloud-config\n");
  expect(readFileSync(join(folder, "seed/meta-data"), "utf8")).toBe("instance-id: one\n");
});

test("a machine for aarch64 has its own program, board, firmware and processor, and no display", async () => {
  const accelerator: VmOptions["accelerator"] = {
    accel: "tcg",
    architecture: "aarch64",
    cpuModel: "cortex-a57",
    firmware: "/firmware/code.fd",
    reason: "",
  };
  const vm = await bootVm(host(), options({ accelerator }));
  await vm.kill();
  const [, ...args] = ran.find(([file]) => file === "qemu-system-aarch64") ?? [];
  expect(args.slice(0, args.indexOf("-chardev"))).toEqual([
    ...["-machine", "virt,gic-version=max", "-accel", "tcg,thread=multi", "-bios", "/firmware/code.fd"],
    ...["-cpu", "cortex-a57", "-smp", "2", "-m", "2048"],
    ...["-display", "none", "-monitor", "none", "-nodefaults"],
  ]);
});

test("KVM is for guests of the host's own architecture; all others are emulated, and why is said", async () => {
  const other = { ...host(), architecture: "arm64" };
  expect(await chooseAccelerator({ host: other, architecture: "x86_64", image: "/none" })).toEqual({
    accel: "tcg",
    architecture: "x86_64",
    cpuModel: "max",
    reason: "the guest is x86_64, this host is not; expect minutes",
  });
  const firmware = join(folder, "code.fd");
  writeFileSync(firmware, "");
  const mixed = { host: { ...host(), architecture: "x64" }, architecture: "aarch64", image: "/none" } as const;
  expect(await chooseAccelerator({ ...mixed, firmware: ["/no/such/file", firmware] })).toEqual({
    accel: "tcg",
    architecture: "aarch64",
    cpuModel: "cortex-a57",
    firmware,
    reason: "the guest is aarch64, this host is not; expect minutes",
  });
  expect(ran).toEqual([]);
  await expect(chooseAccelerator({ ...mixed, firmware: ["/no/such/file", "/nor/this"] })).rejects.toMatchObject({
    code: "BK301",
    message: "UEFI firmware for aarch64 is not on this host: /no/such/file, /nor/this",
    help: "Install qemu-efi-aarch64 (Debian, Ubuntu) or edk2-aarch64 (openEuler, Fedora).",
  });
});

test("a guest may call this host by another address, and is reached by ssh", async () => {
  const vm = await bootVm(host(), options({ hostAddress: "10.0.2.9" }));
  await vm.kill();
  const [, ...args] = ran.find(([file]) => file === "qemu-system-x86_64") ?? [];
  expect(args).toContain(`user,id=net,host=10.0.2.9,hostfwd=tcp:127.0.0.1:${vm.sshPort}-:22`);
});

test("disks are plugged into free ports alone, and a snapshot takes all that are written to", async () => {
  const vm = await bootVm(host(), options({ freePorts: 2 }));
  try {
    await vm.plug({ id: "a", serial: "a1", from: { blankGiB: 1 } });
    await vm.plug({ id: "b", serial: "b1", from: { raw: "/disks/b.raw" }, readOnly: true });
    await expect(vm.plug({ id: "c", serial: "c1", from: { blankGiB: 1 } })).rejects.toMatchObject({
      code: "BK508",
      message: "no free port for disk c: the VM has 2",
    });
    const node = (name: string): string => join(folder, `${name}-1.qcow2`);
    expect(await vm.snapshot()).toEqual({
      system: { file: join(folder, "system.qcow2"), format: "qcow2" },
      data: {
        a: { file: join(folder, "disk-a.qcow2"), format: "qcow2" },
        b: { file: "/disks/b.raw", format: "raw" },
      },
    });
    await vm.unplug("a");
    await expect(vm.unplug("a")).rejects.toMatchObject({ code: "BK508", message: "no disk a is in the VM" });
    const sync = (name: string) => ({
      type: "blockdev-snapshot-sync",
      data: { "node-name": name, "snapshot-node-name": `${name}-1`, "snapshot-file": node(name) },
    });
    expect(told).toEqual([
      { execute: "qmp_capabilities", arguments: {} },
      { execute: "blockdev-add", arguments: block("disk-a", join(folder, "disk-a.qcow2"), "qcow2") },
      {
        execute: "device_add",
        arguments: { driver: "nvme", id: "a", drive: "disk-a", serial: "a1", bus: "port0" },
      },
      { execute: "blockdev-add", arguments: block("disk-b", "/disks/b.raw", "raw", true) },
      {
        execute: "device_add",
        arguments: { driver: "nvme", id: "b", drive: "disk-b", serial: "b1", bus: "port1" },
      },
      { execute: "transaction", arguments: { actions: [sync("system"), sync("disk-a")] } },
      { execute: "device_del", arguments: { id: "a" } },
      // What is written to since the snapshot.
      { execute: "blockdev-del", arguments: { "node-name": "disk-a-1" } },
    ]);
    await vm.powerCycle();
    const [, ...args] = ran.findLast(([file]) => file === "qemu-system-x86_64") ?? [];
    expect(args).toContain(JSON.stringify(block("system", node("system"), "qcow2")));
  } finally {
    await vm.kill();
  }
});

/** Whatever is in a folder's name: neither a shell nor QEMU's options take a part of it for their own. */
const hostileNames = [
  ...hostileStrings(1000).filter((text) => text !== "" && !/[\0/]/.test(text) && Buffer.byteLength(text) < 200),
  "it's",
  "a,b,,c",
  "'; touch owned; '",
];

test("the metadata service's command line survives any folder", () => {
  const paths = hostileNames.map((name) => `/work/${name}/metadata.sh`);
  const values = paths.map((path) => optionValue(metadataCommand(path)));
  // QEMU ends an option's value at a single comma.
  for (const value of values) expect(value.replaceAll(",,", "")).not.toContain(",");
  const input = values.map((value) => `set -- ${value.replaceAll(",,", ",")}\nprintf '%s\\0' "$#" "$@"\n`).join("");
  const words = execFileSync("sh", { input }).toString().split("\0");
  expect(words).toEqual([...paths.flatMap((path) => ["2", "/bin/sh", path]), ""]);
});

/** What the service answers to a request line. @param network QEMU's options, with the service's command at their end. */
const ask = (network: string, path: string): string => {
  const command = network.slice(network.indexOf("-cmd:") + "-cmd:".length).replaceAll(",,", ",");
  const input = `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`;
  return execFileSync("sh", ["-c", command], { cwd: folder, input }).toString();
};
const found = "HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n";

test("it answers from a folder with such a name", async () => {
  const inside = join(folder, "it's, $(touch owned) a\nfolder");
  mkdirSync(inside);
  const [, network = ""] = await metadataService(inside, "what it was given\n");
  for (const path of ["/", "/any/path"]) expect(ask(network, path)).toBe(`${found}what it was given\n`);
});

test("it answers by path as OpenStack does, and no path leads out of its folder", async () => {
  const answers = openStackFiles({ userData: "#cloud-config\n{}\n", metaData: '{"uuid": "1"}' });
  const network = await metadataForward(folder, answers);
  expect(ask(network, "/openstack/latest/user_data")).toBe(`${found}#cloud-config\n{}\n`);
  expect(ask(network, "/openstack/latest/meta_data.json?x=1")).toBe(`${found}{"uuid": "1"}`);
  // cloud-init asks for the versions first.
  for (const path of ["/openstack", "/openstack/"]) expect(ask(network, path)).toBe(`${found}latest\n`);
  expect(ask(network, "/openstack/latest/")).toBe(`${found}meta_data.json\nuser_data\n`);
  writeFileSync(join(folder, "secret"), "secret");
  for (const path of ["/../secret", "/openstack/../../secret", "/any", "/latest/vendor_data.json", "/$(echo any)"])
    expect(ask(network, path)).toMatch(/^HTTP\/1\.0 404 /);
});
