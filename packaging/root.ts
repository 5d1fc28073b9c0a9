/** The folder of the checkout, or that in which the folder of the bundles lies: both are one above this code. */
import { join } from 'node:path';

export const ROOT = join(import.meta.dirname, '..');
/** The built page. */
export const PAGE = join(ROOT, 'collector', 'dashboard', 'dist');
