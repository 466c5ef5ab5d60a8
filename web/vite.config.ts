// Where the page goes is said by ./dev (--outDir): below cargo's target directory, from where crates/console takes it up.
import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vite';

export default defineConfig({
  plugins: [svelte()],
  build: {
    target: 'es2022',
    // The policy of the page allows no script and no style inside of it, and no data: in place of a file.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    emptyOutDir: true,
    // The console, and the wizard of `quorate setup`.
    rollupOptions: { input: ['index.html', 'setup.html'] },
  },
});
