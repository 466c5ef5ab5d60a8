// The member that serves the page dies: the page says so, goes on at another member, and asks for the password there. Started
// by the end-to-end tests, which kill that member when this prints "ready":
//   node moves.mjs '{"url": ..., "name": ..., "password": ..., "shots": DIRECTORY}'
import { goesOnElsewhere, open, part, signIn, waitForState } from './browser.mjs';

const { url, name, password, shots } = JSON.parse(process.argv[2]);
const { browser, page, shot } = await open(url, { shots });
await signIn(page, password);
await part(page, 'served').filter({ hasText: `seen by ${name}` }).waitFor();
await waitForState(page, 'serving');
await goesOnElsewhere(page, { name, password, shot });
await browser.close();
console.log('done');
