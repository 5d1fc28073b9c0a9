/** The admin token: the one given, or the one that the first start made and wrote beside the data. Not who presents it: access.ts. */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { constants } from 'node:fs';
import { chmod, open, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { AccessError } from './errors.ts';

/** 192 bits, as 32 letters that can be pasted anywhere. */
const TOKEN_BYTES = 24;
const OWNER_ONLY = 0o600;

export type AdminToken = {
  readonly token: string;
  /** Where it lies, if it was not given. */
  readonly file: string | undefined;
  /** True if this start made it. */
  readonly made: boolean;
};

/** The given token, else the one in DATA/admin-token, else a new one written there for its owner alone. Throws AccessError. */
export async function adminToken(options: { readonly given: string | undefined; readonly dataDir: string }): Promise<AdminToken> {
  if (options.given !== undefined) return { token: options.given, file: undefined, made: false };
  const file = join(options.dataDir, 'admin-token');
  const kept = await readToken(file);
  if (kept !== undefined) return { token: kept, file, made: false };
  const token = randomBytes(TOKEN_BYTES).toString('base64url');
  await writeToken(file, token);
  return { token, file, made: true };
}

async function readToken(file: string): Promise<string | undefined> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
    if (((await stat(file)).mode & 0o077) !== 0) await chmod(file, OWNER_ONLY);
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw new AccessError(
      'admin_token_unreadable',
      `cannot read the admin token in ${file}: ${reason(error)}. Give this user the file, or set PICKET_ADMIN_TOKEN`,
      {
        cause: error,
      },
    );
  }
  const token = text.trim();
  if (token === '')
    throw new AccessError('admin_token_empty', `the admin token file ${file} is empty. Delete it and start again to get a new token`);
  return token;
}

/** Synced before it is used: a token that was printed must still be good after a power cut. */
async function writeToken(file: string, token: string): Promise<void> {
  try {
    const handle = await open(file, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, OWNER_ONLY);
    try {
      await handle.writeFile(`${token}\n`);
      await handle.sync();
    } finally {
      await handle.close();
    }
  } catch (error) {
    throw new AccessError(
      'admin_token_unwritable',
      `cannot write the admin token to ${file}: ${reason(error)}. Make the folder writable for this user, or set PICKET_ADMIN_TOKEN`,
      {
        cause: error,
      },
    );
  }
}

/** Compares in a time that does not depend on where the texts differ, nor on their lengths. */
export function sameSecret(given: string, expected: string): boolean {
  return timingSafeEqual(sha256(given), sha256(expected));
}

export function sha256(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT';
}

function reason(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
