/** An answer's text, read whole within a limit. */
import type { HttpResponse } from "./http.ts";
import { HttpError, httpErrorOf } from "./http-error.ts";

/**
 * Reads the body and lets the connection go.
 * @param url For messages: where it was asked.
 * @param limit Bytes.
 * @throws HttpError for more than that, or a connection that is cut; the signal's reason.
 */
export const readText = async (
  { body }: HttpResponse,
  { url, limit, signal }: { readonly url: string; readonly limit: number; readonly signal: AbortSignal },
): Promise<string> => {
  try {
    const chunks: Buffer[] = [];
    let size = 0;
    for await (const chunk of body) {
      size += (chunk as Buffer).length;
      if (size > limit) throw new HttpError(`it sends more than ${limit} bytes`, url);
      chunks.push(chunk as Buffer);
    }
    return Buffer.concat(chunks).toString("utf8");
  } catch (error) {
    signal.throwIfAborted();
    throw error instanceof HttpError ? error : httpErrorOf(error, url);
  } finally {
    body.destroy();
  }
};
