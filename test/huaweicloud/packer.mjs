/**
 * Stands in for Packer with the plugin for Huawei Cloud, which cannot be had in tests: it makes the plugin's calls in the
 * plugin's order, signed as the plugin signs, and prints its lines (1.2.2, run once against the emulated cloud). It repeats no
 * call, as the plugin does not. Of the template it reads what it needs by name.
 */
import { createHash, createHmac, randomUUID } from "node:crypto";
import { appendFileSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { request as plainRequest } from "node:http";
import { request as tlsRequest } from "node:https";
import { join } from "node:path";
import { connect } from "node:tls";

const { env } = process;
const words = process.argv.slice(2);
const variables = Object.fromEntries(
  words.flatMap((word, at) => {
    if (words[at - 1] !== "-var") return [];
    const [name, ...value] = word.split("=");
    return [[name, value.join("=")]];
  }),
);
const template = words.at(-1);

if (env.SEEN) {
  const given = Object.entries(env).filter(([name]) => /^(HW_|PACKER_LOG$)/.test(name));
  const below = (folder) =>
    readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => !entry.isDirectory())
      .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1));
  appendFileSync(
    env.SEEN,
    [
      ...given.map((pair) => pair.join("=")).toSorted(),
      ...words,
      ...(variables.artifacts === undefined ? [] : below(variables.artifacts).toSorted()),
      "",
    ].join("\n"),
  );
}

const say = (text) => process.stdout.write(`==> huaweicloud-ecs.node: ${text}\n`);
const message = (text) => process.stdout.write(`    huaweicloud-ecs.node: ${text}\n`);

/** A second of the plugin's, in milliseconds. */
const second = Number(env.STAND_IN_SECOND ?? 1);
/** Seconds that it waited, and of them those in which it provisions. */
const waited = { all: 0, provision: 0 };
const wait = (seconds) => {
  waited.all += seconds;
  return new Promise((done) => {
    setTimeout(done, seconds * second);
  });
};
const started = process.hrtime.bigint();
// For benchmarks: what of its time was waiting.
if (env.STAND_IN_TIMES) {
  process.on("exit", () =>
    writeFileSync(
      env.STAND_IN_TIMES,
      JSON.stringify({ ...waited, took: Number((process.hrtime.bigint() - started) / 1000n) / 1e6 }),
    ),
  );
}

let cancelled = false;
process.on("SIGTERM", () => {
  say("Cancelling build after receiving terminated");
  cancelled = true;
});

const hcl = readFileSync(join(template, "huaweicloud.pkr.hcl"), "utf8");
const source = /source "huaweicloud-ecs" "node" \{\n([\s\S]*?)\n\}/.exec(hcl)?.[1] ?? "";

/** An argument of the template as text: a literal, or a variable's value. */
const argument = (name) => {
  const value = new RegExp(`^ {2}${name} += (.*)$`, "m").exec(source)?.[1];
  if (value === undefined) return undefined;
  const variable = /^var\.(\w+)$/.exec(value)?.[1];
  if (variable !== undefined) return variables[variable];
  const joined = /^join\(" ", compact\(\[("(?:[^"\\]|\\.)*"), var\.(\w+)\]\)\)$/.exec(value);
  if (joined !== null)
    return [JSON.parse(joined[1]), variables[joined[2]] ?? ""].filter((text) => text !== "").join(" ");
  return value.startsWith('"') ? JSON.parse(value) : value;
};
const disks = [...source.matchAll(/^ {2}data_disks \{\n([\s\S]*?)^ {2}\}/gm)].map(([, text]) =>
  Object.fromEntries([...text.matchAll(/^ {4}(\w+) *= (.*)$/gm)].map(([, name, value]) => [name, JSON.parse(value)])),
);
/** As a disk that is encrypted by a key is asked for. */
const encryptedBy = (key) =>
  key === undefined ? {} : { metadata: { __system__encrypted: "1", __system__cmkid: key } };
const listOf = (name) => JSON.parse(argument(name) ?? "[]");
const tags = [...(/image_tags = \{\n([\s\S]*?)\n {2}\}/.exec(source)?.[1] ?? "").matchAll(/"([^"]*)" += "([^"]*)"/g)];
const region = argument("region");
let project = env.HW_PROJECT_ID;

const sha256 = (text) => createHash("sha256").update(text).digest("hex");
const escape = (text) =>
  encodeURIComponent(text).replace(/[!'()*]/g, (letter) => `%${letter.charCodeAt(0).toString(16).toUpperCase()}`);

/** Signed as the plugin signs. */
const headersFor = (method, path, query, body) => {
  const date = new Date().toISOString().replace(/[-:]|\.\d+/g, "");
  const headers = {
    "user-agent": "huaweicloud-usdk-go/3.0; packer",
    ...(project !== undefined && { "x-project-id": project }),
    "x-sdk-date": date,
  };
  const names = Object.keys(headers).toSorted();
  const canonical = [
    method,
    `${path.split("/").map(escape).join("/")}/`,
    query.map(([name, value]) => `${escape(name)}=${escape(value)}`).join("&"),
    `${names.map((name) => `${name}:${headers[name]}`).join("\n")}\n`,
    names.join(";"),
    sha256(body),
  ].join("\n");
  const signature = createHmac("sha256", env.HW_SECRET_KEY)
    .update(`SDK-HMAC-SHA256\n${date}\n${sha256(canonical)}`)
    .digest("hex");
  return {
    ...headers,
    authorization: `SDK-HMAC-SHA256 Access=${env.HW_ACCESS_KEY}, SignedHeaders=${names.join(";")}, Signature=${signature}`,
    ...(env.HW_SECURITY_TOKEN && { "x-security-token": env.HW_SECURITY_TOKEN }),
    ...(body !== "" && { "content-type": "application/json;charset=UTF-8" }),
  };
};

/** A tunnel through the proxy; the plugin knows no exceptions from it. */
const tunnel = (host) =>
  new Promise((resolve, reject) => {
    const proxy = new URL(env.HTTPS_PROXY);
    const asked = plainRequest({ host: proxy.hostname, port: proxy.port, method: "CONNECT", path: `${host}:443` });
    asked.on("connect", (_, socket) =>
      resolve(connect({ socket, servername: host, ca: readFileSync(env.SSL_CERT_FILE) })),
    );
    asked.on("error", reject);
    asked.end();
  });

if (env.STAND_IN_PID) writeFileSync(env.STAND_IN_PID, String(process.pid));

/** Where a kill comes: `7:before` or `7:after` the seventh call. */
const [killAt, killWhen] = (env.STAND_IN_DIE ?? ":").split(":");
let made = 0;
const mayDie = (when) => {
  if (killAt !== "" && Number(killAt) === made && killWhen === when) process.kill(process.pid, "SIGKILL");
};

class Refused extends Error {
  constructor(status, text) {
    super(`{"status_code":${status},"error_message":${JSON.stringify(text)}}`);
    this.status = status;
  }
}

/** One call of a service. @throws Refused */
const call = async (service, method, path, { query = [], body } = {}) => {
  made += 1;
  mayDie("before");
  const host = `${service}.${region}.myhuaweicloud.com`;
  const text = body === undefined ? "" : JSON.stringify(body);
  const full = path.replace("{project_id}", project);
  const search =
    query.length === 0 ? "" : `?${query.map(([name, value]) => `${escape(name)}=${escape(value)}`).join("&")}`;
  const socket = await tunnel(host);
  const answer = await new Promise((resolve, reject) => {
    const asked = tlsRequest(
      {
        host,
        method,
        path: full + search,
        headers: headersFor(method, full, query, text),
        createConnection: () => socket,
      },
      (response) => {
        const chunks = [];
        response.on("data", (chunk) => chunks.push(chunk));
        response.on("end", () =>
          resolve({ status: response.statusCode, text: Buffer.concat(chunks).toString("utf8") }),
        );
        response.on("error", reject);
      },
    );
    asked.on("error", reject);
    asked.end(text);
  });
  socket.destroy();
  mayDie("after");
  if (answer.status > 299) throw new Refused(answer.status, answer.text);
  return answer.text === "" ? {} : JSON.parse(answer.text);
};

/** What is undone at the end, the last first. */
const cleanUps = [];

const build = async () => {
  if (project === undefined) {
    project = (await call("iam", "GET", "/v3/projects", { query: [["name", env.HW_PROJECT_NAME ?? region]] }))
      .projects[0].id;
  }
  const zones = (await call("ecs", "GET", "/v2.1/{project_id}/os-availability-zone")).availabilityZoneInfo;
  const open = zones.filter(({ zoneState }) => zoneState.available).map(({ zoneName }) => zoneName);
  const zone = argument("availability_zone") ?? open[Math.floor(Math.random() * open.length)];

  let keyPair = argument("ssh_keypair_name");
  if (keyPair === undefined) {
    keyPair = `packer_${randomUUID()}`;
    say(`Creating temporary keypair: ${keyPair}...`);
    await call("ecs", "POST", "/v2.1/{project_id}/os-keypairs", { body: { keypair: { name: keyPair } } });
    say(`Created temporary keypair: ${keyPair}`);
    cleanUps.unshift(async () => {
      say(`Deleting temporary keypair: ${keyPair} ...`);
      await call("ecs", "DELETE", `/v2.1/{project_id}/os-keypairs/${keyPair}`).catch((error) =>
        say(`Error cleaning up keypair ${keyPair}. Please delete the key manually: ${error.message}`),
      );
    });
  }
  await call("vpc", "GET", `/v1/{project_id}/vpcs/${argument("vpc_id")}`);

  let address;
  const bandwidth = argument("eip_bandwidth_size");
  if (bandwidth !== undefined) {
    say("Creating EIP ...");
    const body = {
      publicip: { type: argument("eip_type") },
      bandwidth: {
        name: `packer_eip_bandwidth_${Math.floor(Date.now() / 1000)}`,
        size: Number(bandwidth),
        share_type: "PER",
        charge_mode: "traffic",
      },
    };
    const { publicip } = await call("vpc", "POST", "/v1/{project_id}/publicips", { body });
    message(`Created EIP: '${publicip.id}' (${publicip.public_ip_address})`);
    await wait(5);
    // Fails this look, the plugin forgets the address.
    await call("vpc", "GET", `/v1/{project_id}/publicips/${publicip.id}`);
    address = publicip.id;
    cleanUps.unshift(async () => {
      await call("vpc", "DELETE", `/v1/{project_id}/publicips/${address}`).then(
        () => say(`Deleted temporary public IP '${address}' (${publicip.public_ip_address})`),
        () => say(`Error deleting temporary public IP '${address}' (${publicip.public_ip_address})`),
      );
    });
  }

  const existing = argument("floating_ip");
  if (existing !== undefined) {
    say(`Checking the provided public IP ${existing} ...`);
    const { publicip } = await call("vpc", "GET", `/v1/{project_id}/publicips/${existing}`);
    message(`Selected public IP: '${publicip.id}' (${publicip.public_ip_address})`);
    address = publicip.id;
  }

  say(`Launching server in AZ ${zone}...`);
  const price = argument("spot_maximum_price");
  const { job_id: job } = await call("ecs", "POST", "/v1/{project_id}/cloudservers", {
    body: {
      server: {
        name: argument("instance_name"),
        imageRef: argument("source_image"),
        flavorRef: argument("flavor"),
        key_name: keyPair,
        vpcid: argument("vpc_id"),
        nics: listOf("subnets").map((subnet) => ({ subnet_id: subnet })),
        security_groups: listOf("security_groups").map((id) => ({ id })),
        availability_zone: zone,
        root_volume: {
          volumetype: argument("volume_type"),
          size: Number(argument("volume_size")),
          ...encryptedBy(argument("kms_key_id")),
        },
        user_data: readFileSync(join(template, "../user-data/build.yaml")).toString("base64"),
        ...(address !== undefined && { publicip: { id: address } }),
        extendparam: {
          chargingMode: 0,
          ...(argument("enterprise_project_id") !== undefined && {
            enterprise_project_id: argument("enterprise_project_id"),
          }),
          ...(argument("spot_pricing") === "true" && {
            marketType: "spot",
            ...(price !== undefined && { spotPrice: price }),
          }),
        },
      },
    },
  });
  message("Waiting for server to become ready...");
  let serverId;
  try {
    for (;;) {
      await wait(10);
      const { status, entities } = await call("ecs", "GET", `/v1/{project_id}/jobs/${job}`);
      if (cancelled) throw new Error("forced cancel");
      if (status === "SUCCESS") {
        serverId = entities.sub_jobs[0].entities.server_id;
        break;
      }
      if (status === "FAIL")
        throw new Error("unexpected state 'FAIL', wanted target 'SUCCESS'. last error: %!s(<nil>)");
    }
  } catch (error) {
    throw new Error(`Error waiting for server (${job}) to become ready: ${error.message}`, { cause: error });
  }
  const ports = await call("ecs", "GET", `/v1/{project_id}/cloudservers/${serverId}/os-interface`);
  const host = ports.interfaceAttachments[0].fixed_ips[0].ip_address;
  message(`Server ID: ${serverId}`);
  cleanUps.unshift(async () => {
    say(`Terminating the source server: ${serverId}...`);
    try {
      await call("ecs", "POST", "/v1/{project_id}/cloudservers/delete", {
        body: { servers: [{ id: serverId }], delete_volume: true },
      });
      // It takes "not there" for "not yet".
      for (let look = 0; look < Number(env.STAND_IN_LOOKS ?? 21); look += 1) {
        await wait(10);
        await call("ecs", "GET", `/v1/{project_id}/cloudservers/${serverId}`).catch((error) => {
          if (error.status !== 404) throw error;
        });
      }
    } catch (error) {
      say(`Error terminating server, may still be around: ${error.message}`);
    }
  });
  if (cancelled) throw new Error("build was cancelled");

  for (const { volume_size: size, volume_type: type, kms_key_id: key } of disks) {
    say("Creating volume...");
    const inProject = argument("enterprise_project_id");
    const { job_id: diskJob } = await call("evs", "POST", "/v2.1/{project_id}/cloudvolumes", {
      body: {
        volume: {
          availability_zone: zone,
          volume_type: type,
          size,
          ...encryptedBy(key),
          ...(inProject !== undefined && { enterprise_project_id: inProject }),
        },
        server_id: serverId,
      },
    });
    message("Waiting for create volume success...");
    for (let status; status !== "SUCCESS"; ) {
      await wait(10);
      ({ status } = await call("evs", "GET", `/v1/{project_id}/jobs/${diskJob}`));
      if (status === "FAIL") throw new Error(`error waiting for create volume (${diskJob}) to become ready`);
    }
  }

  say(`Using SSH communicator to connect: ${host}`);
  say("Connected to SSH!");
  for (const step of ["wait-cloud-init", "install-artifacts"]) message(`bake: step ${step}`);
  waited.provision = Number(env.STAND_IN_PROVISION ?? 1);
  await wait(waited.provision);
  if (env.STAND_IN_FAIL) {
    say(`bake: failed ${env.STAND_IN_FAIL}`);
    throw new Error("Script exited with non-zero exit status: 1.");
  }
  message("bake: step hygiene");
  if (cancelled) throw new Error("build was cancelled");

  say(`Stopping server: ${serverId} ...`);
  try {
    await call("ecs", "POST", "/v1/{project_id}/cloudservers/action", {
      body: { "os-stop": { servers: [{ id: serverId }] } },
    });
    await wait(5);
    await call("ecs", "GET", `/v1/{project_id}/cloudservers/${serverId}`);
  } catch (error) {
    message(`Error waiting for server (${serverId}) to stop: ${error.message}`);
  }
  if (cancelled) throw new Error("build was cancelled");

  const name = argument("image_name");
  say(`Creating the image: ${name}`);
  const inProject = argument("enterprise_project_id");
  let imageJob;
  try {
    imageJob = await call("ims", "POST", "/v2/cloudimages/action", {
      body: {
        name,
        description: argument("image_description"),
        instance_id: serverId,
        image_tags: tags.map(([, key, value]) => ({ key, value })),
        ...(inProject !== undefined && { enterprise_project_id: inProject }),
      },
    });
  } catch (error) {
    throw new Error(`Error creating image: ${error.message}`, { cause: error });
  }
  say(`Waiting for image ${name} to become available in 1h0m0s ...`);
  let imageId;
  await wait(50);
  // It swallows errors of this poll, and hears of no cancellation.
  for (let looks = 0; imageId === undefined; looks += 1) {
    await wait(10);
    const state = await call("ims", "GET", `/v1/{project_id}/jobs/${imageJob.job_id}`).catch(() => ({
      status: "RUNNING",
    }));
    if (state.status === "FAIL")
      throw new Error(`Error waiting for image: failed to create image: ${state.fail_reason}`);
    if (state.status === "SUCCESS") imageId = state.entities.image_id;
    if (looks > 2000) throw new Error("Error waiting for image: couldn't find resource (21 retries)");
  }
  message(`Image: ${imageId}`);
  const members = listOf("image_members");
  if (members.length > 0) {
    say(`Adding members [${members.join(" ")}] to image [${imageId}]`);
    await call("ims", "POST", "/v1/cloudimages/members", { body: { images: [imageId], projects: members } }).catch(
      (error) => message(`WARN: failed to add members to image: ${error.message}`),
    );
  }
  return imageId;
};

let imageId;
let failure;
try {
  imageId = await build();
} catch (error) {
  failure = error;
  say(error.message);
}
for (const cleanUp of cleanUps) await cleanUp();
if (failure !== undefined || cancelled) {
  process.stdout.write(
    cancelled
      ? "Cleanly cancelled builds after being interrupted.\n"
      : `Build 'huaweicloud-ecs.node' errored after 1 second: ${failure.message}\n`,
  );
  process.exit(1);
}
writeFileSync(
  join(variables.output, "manifest.json"),
  JSON.stringify({ builds: [{ artifact_id: env.MADE ?? imageId }] }),
);
process.stdout.write("Build 'huaweicloud-ecs.node' finished.\n");
process.exit(0);
