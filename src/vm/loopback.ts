/** Ports on 127.0.0.1, where QEMU forwards the guest's ssh. */
import { createConnection, createServer } from "node:net";

/** A port on 127.0.0.1 that was free a moment ago: somebody may take it before it is used. */
export const freePort = (): Promise<number> =>
  new Promise((done, failed) => {
    const server = createServer();
    server.once("error", failed);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      const port = typeof address === "object" && address !== null ? address.port : 0;
      server.close(() => done(port));
    });
  });

/**
 * Whether a server sends its banner, as ssh servers do, within two seconds.
 * QEMU accepts a connection long before the guest does and then holds it: an ssh client would sit out its time-out.
 */
export const sendsBanner = (port: number): Promise<boolean> =>
  new Promise((done) => {
    const socket = createConnection({ host: "127.0.0.1", port, timeout: 2000 });
    const end = (answer: boolean) => (): void => {
      done(answer);
      socket.destroy();
    };
    socket.once("data", end(true)).once("error", end(false)).once("timeout", end(false)).once("close", end(false));
  });
