/** An emulated CSMS for a guest, and what its server's metadata say of it: facts as in test/consumers/csms.test.ts. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { signatureProblem } from "../../huaweicloud/signature.ts";

/** Name of the secret. */
export const secretName = "buildkite-agent-token";

const project = "0123456789abcdef0123456789abcdef";
const key = { accessKey: "TEMPORARYACCESS", secretKey: "temporary-secret-key", securityToken: "temporary-token" };

/** What meta_data.json says of the server besides its name. */
export const serverMetadata = { project_id: project, region_id: "cn-north-4" };

/** What the metadata service answers besides OpenStack's files: the credentials of the server's agency. */
export const agencyFiles = {
  "openstack/latest/securitykey": JSON.stringify({
    credential: { access: key.accessKey, secret: key.secretKey, securitytoken: key.securityToken },
  }),
};

export interface Csms {
  readonly port: number;
  /** What it was asked for, and what was wrong with the signature of it. */
  readonly asked: { readonly path: string; readonly problem: string | undefined }[];
  /** From now on the agency may read the secret. */
  allow(): void;
  close(): Promise<void>;
}

/** Answers on a port of this host's loopback, which a guest reaches by its name of this host. It refuses until it is told otherwise. */
export const startCsms = async (token: string): Promise<Csms> => {
  const asked: { path: string; problem: string | undefined }[] = [];
  let allowed = false;
  const server = createServer((request, response) => {
    const { method = "", url = "", headers } = request;
    const problem = signatureProblem({ method, target: url, headers, body: Buffer.alloc(0) }, [key], Date.now());
    asked.push({ path: url, problem });
    const answer = (status: number, body: object): void => {
      response.writeHead(status, { "content-type": "application/json" });
      response.end(JSON.stringify(body));
    };
    if (problem !== undefined) answer(401, { error_code: "APIGW.0301", error_msg: problem });
    else if (url !== `/v1/${project}/secrets/${secretName}/versions/latest`)
      answer(404, { error_code: "CSMS.0404", error_msg: "Secret not found" });
    else if (!allowed) answer(403, { error_code: "CSMS.0403", error_msg: "Access denied" });
    else answer(200, { version: { secret_string: token } });
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  return {
    port: (server.address() as AddressInfo).port,
    asked,
    allow: () => {
      allowed = true;
    },
    close: async () => {
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
    },
  };
};
