/** How the page is built: plain Vite, JSX by oxc, everything from this origin. No dev server is needed; packaging/page.ts calls this. */
import type { UserConfig } from 'vite';

const config: UserConfig = {
  base: '/',
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  build: {
    target: 'es2023',
    outDir: 'dist',
    emptyOutDir: true,
    // The content security policy allows nothing inline, so nothing may become a data: URL.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
};

export default config;
