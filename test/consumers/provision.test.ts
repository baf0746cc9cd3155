/** provision.sh compares what it fetches with the lock, inside the VM too. */
import { createHash } from "node:crypto";
import { expect } from "vitest";
import { needs } from "../needs.ts";
import { openWorkshop } from "../provisioned.ts";

needs("root").test(
  "an artifact whose bytes changed on the way is refused by name",
  async () => {
    const workshop = await openWorkshop();
    try {
      const sha256 = createHash("sha256").update("what was locked").digest("hex");
      const { code, output } = await workshop.provision({
        manager: "apt-get",
        artifact: `docker-static\tthe-docker\t${sha256}\t-\t-\n`,
        after: "ls /usr/bin/dockerd",
      });
      expect(output).toContain(`bake: failed artifact the-docker does not match its digest: expected sha256 ${sha256}`);
      expect(code).toBe(1);
    } finally {
      workshop.close();
    }
  },
  300_000,
);
