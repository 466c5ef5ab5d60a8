// The member that serves the page dies: the page says so, goes on at another member, and asks for the password there. Started
// by the end-to-end tests, which kill that member when this prints "ready":
//   node moves.mjs '{"url": ..., "name": ..., "password": ..., "shots": DIRECTORY}'
import assert from 'node:assert/strict';
import { open, part, signIn, waitForState } from './browser.mjs';

const { url, name, password, shots } = JSON.parse(process.argv[2]);
const { browser, page, shot } = await open(url, { shots });
await signIn(page, password);
await part(page, 'served').filter({ hasText: `seen by ${name}` }).waitFor();
await waitForState(page, 'serving');
const started = Date.now();
console.log('ready');

await part(page, 'lost').filter({ hasText: `${name} does not answer` }).waitFor();
console.log(`said after ${Date.now() - started} ms`);
await shot('lost');
await page.waitForURL((there) => there.origin !== new URL(url).origin);
console.log(`moved to ${new URL(page.url()).host} after ${Date.now() - started} ms`);
await part(page, 'sign-in').waitFor();
await signIn(page, password);
await part(page, 'came-from').filter({ hasText: `${name} did not answer` }).waitFor();
await waitForState(page, 'serving');
await page.waitForFunction((name) => document.querySelector('[data-test="served"]')?.textContent?.includes(name) === false, name);
assert.ok(!page.url().includes('from='), 'the address bar is tidy');
await shot('moved');
await browser.close();
console.log('done');
