/** Reads request bodies: capped, within a time, of the type that was announced. Nothing else in http/ touches a request's stream. */
import type { IncomingMessage } from 'node:http';
import { HttpError } from './errors.ts';

/** A form with a query that names 10,000 hosts is below this. */
export const FORM_BYTES_MAX = 2 * 1024 * 1024;
/** Our own JSON requests are a handful of fields. */
export const JSON_BYTES_MAX = 64 * 1024;
/** Nested arrays and objects in a JSON body; ours have two. */
export const JSON_DEPTH_MAX = 16;
/** A body that takes longer is an attack or a dead link. */
export const BODY_MS_MAX = 10_000;
/** Fields of a form or a query string. */
export const FIELDS_MAX = 1000;

type BodyLimits = { readonly bytesMax: number; readonly timeoutMs?: number };

/** Fields of a form body; none if there is no body. */
export async function readForm(request: IncomingMessage, limits: BodyLimits = { bytesMax: FORM_BYTES_MAX }): Promise<URLSearchParams> {
  const bytes = await readBody(request, limits, 'application/x-www-form-urlencoded');
  return fieldsOf(bytes.toString('utf8'));
}

/** Parses a query string or form. */
export function fieldsOf(text: string): URLSearchParams {
  let fields = 1;
  for (let at = text.indexOf('&'); at !== -1; at = text.indexOf('&', at + 1)) fields++;
  if (fields > FIELDS_MAX)
    throw new HttpError(400, 'parameter_invalid', `the request has ${fields} parameters, at most ${FIELDS_MAX} are taken`);
  return new URLSearchParams(text);
}

/** A JSON object; empty if there is no body. */
export async function readJsonObject(
  request: IncomingMessage,
  limits: BodyLimits = { bytesMax: JSON_BYTES_MAX },
): Promise<Readonly<Record<string, unknown>>> {
  const bytes = await readBody(request, limits, 'application/json');
  if (bytes.length === 0) return {};
  const text = bytes.toString('utf8');
  requireShallow(text);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new HttpError(400, 'body_invalid', `the body is no JSON: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    });
  }
  if (!isRecord(value)) throw new HttpError(400, 'body_invalid', 'the body must be a JSON object such as {"token": "..."}');
  return value;
}

export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Reads the whole body. An absent body is empty whatever its type. */
async function readBody(request: IncomingMessage, limits: BodyLimits, mediaType: string): Promise<Buffer> {
  const announced = Number(request.headers['content-length'] ?? Number.NaN);
  if (announced === 0 || (Number.isNaN(announced) && request.headers['transfer-encoding'] === undefined)) return Buffer.alloc(0);
  const type = request.headers['content-type']?.split(';', 1)[0]?.trim().toLowerCase();
  if (type !== mediaType) {
    throw new HttpError(415, 'media_type', `the body is ${type ?? 'of no announced type'}: send it as ${mediaType}`, closing);
  }
  if (request.headers['content-encoding'] !== undefined && request.headers['content-encoding'] !== 'identity') {
    throw new HttpError(415, 'media_type', 'compressed request bodies are not taken here: send it plain', closing);
  }
  if (announced > limits.bytesMax) throw tooLarge(limits.bytesMax);
  return collect(request, limits);
}

/** The rest of a refused body is not read: the connection ends with the answer. */
const closing = { headers: { connection: 'close' } } as const;

function tooLarge(bytesMax: number): HttpError {
  return new HttpError(413, 'body_too_large', `the body is larger than the ${bytesMax} bytes taken here`, closing);
}

function collect(request: IncomingMessage, limits: BodyLimits): Promise<Buffer> {
  const { bytesMax, timeoutMs = BODY_MS_MAX } = limits;
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    const timer = setTimeout(
      () => fail(new HttpError(408, 'body_slow', `the body did not arrive within ${timeoutMs} ms`, closing)),
      timeoutMs,
    );
    const onData = (chunk: Buffer): void => {
      bytes += chunk.length;
      if (bytes > bytesMax) fail(tooLarge(bytesMax));
      else chunks.push(chunk);
    };
    const onEnd = (): void => {
      release();
      resolve(Buffer.concat(chunks));
    };
    const onClose = (): void => fail(new HttpError(400, 'body_invalid', 'the connection ended before the body did'));
    const release = (): void => {
      clearTimeout(timer);
      request.off('data', onData).off('end', onEnd).off('close', onClose).off('error', onClose);
    };
    const fail = (error: HttpError): void => {
      release();
      request.pause();
      reject(error);
    };
    request.on('data', onData).on('end', onEnd).on('close', onClose).on('error', onClose);
  });
}

/** Counts brackets outside strings, so that no recursive parser sees a hostile depth. */
function requireShallow(text: string): void {
  let depth = 0;
  let inString = false;
  for (let i = 0; i < text.length; i++) {
    const char = text[i];
    if (inString) {
      if (char === '\\') i++;
      else if (char === '"') inString = false;
    } else if (char === '"') inString = true;
    else if (char === '[' || char === '{') {
      if (++depth > JSON_DEPTH_MAX) throw new HttpError(400, 'body_invalid', `the body nests deeper than ${JSON_DEPTH_MAX} levels`);
    } else if (char === ']' || char === '}') depth--;
  }
}
