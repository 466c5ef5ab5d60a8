// The wizard, step by step: bad input in every field, every page in light, dark and on a phone, the review, and the files.
//   node setup.mjs '{"url": ..., "shots": DIRECTORY, "members": [...], "directory": ..., "plan": {...}}'
import assert from 'node:assert/strict';
import { open, part } from './browser.mjs';
import { bad, describe, press, step } from './wizard.mjs';

const { url, shots, directory, addresses } = JSON.parse(process.argv[2]);
const { browser, context, page, problems, shot } = await open(url, { shots, whole: true });
const say = (text) => console.log(text);

say('the key goes out of the address and into a cookie that scripts cannot read');
await part(page, 'drawing').waitFor();
assert.equal(new URL(page.url()).search, '');
const [cookie] = await context.cookies();
assert.ok(cookie.httpOnly && cookie.sameSite === 'Strict', JSON.stringify(cookie));
const kept = () => page.evaluate(() => JSON.stringify([document.cookie, { ...localStorage }, { ...sessionStorage }]));
assert.equal(await kept(), '["",{},{}]');

say('nobody else is let in, and nothing comes from elsewhere');
const origin = new URL(url).origin;
const stranger = await browser.newContext();
const foreign = await stranger.newPage();
assert.equal((await foreign.request.get(`${origin}/api/state`)).status(), 401);
assert.equal((await foreign.request.get(`${origin}/?key=guessed`)).status(), 401);
assert.equal((await foreign.request.get(`${origin}/`, { headers: { host: 'evil.example' } })).status(), 421);
await stranger.close();
assert.equal((await page.request.post(`${origin}/api/close`, { data: {} })).status(), 403, 'without the page’s header');

say('the first step, with every mistake');
await describe(page, { addresses });
for (const [field, text, said] of [
  ['scope', '', 'is missing'],
  ['scope', 'my shop', 'a blank'],
  ['members[0].name', 'a/b', "'/'"],
  ['members[1].name', 'pg1', 'another member'],
  ['members[1].address', '', 'missing'],
  ['members[1].address', `${addresses[1]}:5432`, 'has a port'],
  ['members[1].address', addresses[0], "'pg1'"],
  ['members[1].address', '0.0.0.0', 'one server'],
  ['members[2].address', 'a b', 'neither'],
  ['members[2].site', 'no th', 'a blank'],
])
  await bad(page, field, text, said);
await shot('servers');
await bad(page, 'members[2].address', '', 'missing', { leave: true });
await press(page, 'next');
assert.equal(await step(page), 'servers', 'nobody gets on over a mistake');
// The mistake has the focus, once this server has found it.
await page.locator('[data-field="members[2].address"]:focus').waitFor();
await shot('servers-mistake');
await page.locator('[data-field="members[2].address"]').fill(addresses[2]);

say('roles');
const role = (at, name) => part(page, `role-${at}-${name}`);
await role(2, 'store').uncheck();
await page.locator('[data-said="members"]').getByText('2 members').waitFor();
await role(2, 'store').check();
await role(2, 'witness').check();
assert.equal(await role(2, 'database').isChecked(), false, 'a witness has no data');
await page.locator('[data-said="members"] .error').waitFor({ state: 'detached' });
await part(page, 'votes').getByText('3 votes: survives the loss of 1').waitFor();
await part(page, 'add').click();
await page.locator('[data-said="members"]').getByText('4 members').waitFor();
await part(page, 'remove-3').click();
await page.locator('[data-said="members"] .error').waitFor({ state: 'detached' });

say('with the keyboard alone');
await page.locator('[data-field="scope"]').focus();
await page.keyboard.press('Tab');
await page.locator('[data-field="members[0].name"]:focus').waitFor();
await part(page, 'next').focus();
await page.keyboard.press('Enter');
await part(page, 'promise-fastest').waitFor();

say('the question that matters');
await shot('promise');
await part(page, 'promise-never-lose-a-commit').check();
await page.locator('[data-said="promise"]').getByText('writes wait whenever').waitFor();
await part(page, 'promise-stay-writable').check();
await page.locator('[data-said="promise"] li').waitFor({ state: 'detached' });
await press(page, 'next');

say('software, with every mistake');
for (const [field, text, said] of [
  ['postgresql.version', 'new', 'not a version'],
  ['postgresql.bin_dir', 'bin', 'not an absolute path'],
  ['postgresql.data_dir', '', 'is missing'],
  ['postgresql.data_dir', 'data', 'not an absolute path'],
  ['redis.version', 'x', 'not a version'],
  ['redis.bin_dir', './bin', 'not an absolute path'],
  ['redis.data_dir', '/', 'root'],
  ['store_dir', '/a/../b', "'..'"],
])
  await bad(page, field, text, said);
const data = { 'postgresql.data_dir': 'postgresql', 'redis.data_dir': 'redis', store_dir: 'store' };
for (const [field, name] of Object.entries(data)) await page.locator(`[data-field="${field}"]`).fill(`${directory}/data/${name}`);
await shot('software');
await press(page, 'next');

say('addresses, with every mistake');
await part(page, 'add-vip').click();
for (const [field, text, said] of [
  ['vips[0].address', '', 'missing'],
  ['vips[0].address', '10.0.0.42', 'no prefix'],
  ['vips[0].address', '10.0.0.42/99', 'not a prefix length'],
  ['vips[0].address', 'shop/24', 'not an IP address'],
  ['vips[0].address', '10.0.0.255/24', 'broadcast'],
  ['vips[0].interface', 'x'.repeat(300), 'not the name of an interface'],
])
  await bad(page, field, text, said, { from: field === 'vips[0].address' ? '10.0.0.42/24' : '' });
await part(page, 'ports').click();
for (const [text, said] of [
  ['0', 'not a port'],
  ['70000', 'not a port'],
  ['abc', 'not a port'],
  ['8008', 'ports.rest_api'],
])
  await bad(page, 'ports.console', text, said);
await bad(page, 'ports.postgresql', '', 'not a port');
await shot('addresses');

say('what this server says: an address of nobody’s network, a directory that is in use');
await press(page, 'next');
await page.locator('[data-said-of="addresses"]').getByText('no interface of this server').waitFor();
assert.equal(await part(page, 'write').isEnabled(), false);
await shot('review-mistake');
await page.locator('[data-said-of="addresses"] button').click();
await part(page, 'remove-vip-0').click();
await press(page, 'next');
await page.locator('[data-said-of="addresses"] .error').waitFor({ state: 'detached' });

say('resumed in another browser');
const other = await context.newPage();
await other.goto(origin);
await part(other, 'origin').waitFor();
assert.equal(await other.locator('[data-field="scope"]').inputValue(), 'shop');
await other.close();

say('every page, in dark and on a phone');
await page.emulateMedia({ colorScheme: 'dark' });
await every('-dark');
await page.emulateMedia({ colorScheme: 'light' });
await page.setViewportSize({ width: 320, height: 700 });
await every('-320');
await page.setViewportSize({ width: 1180, height: 900 });

say('review and write');
await part(page, 'step-review').click();
await part(page, 'write').and(page.locator(':enabled')).waitFor();
const files = page.locator('[data-test="file"]');
assert.equal(await files.count(), 3);
for (const file of await files.all()) await file.locator('summary').click();
const text = await page.locator('main').innerText();
assert.ok(text.includes('password: ********') && !/password: [A-Za-z0-9]{32}/.test(text), 'passwords are asterisks');
assert.match(await part(page, 'command').textContent(), /^quorate setup --from [^ ]*\/cluster.yaml --member pg1 --directory .* --yes$/);
await shot('review');
await press(page, 'write');
await part(page, 'own').waitFor();
await shot('start');

say('changed later: a difference');
await part(page, 'step-servers').click();
await page.locator('[data-field="members[2].site"]').fill('attic');
await part(page, 'step-review').click();
const changed = page.locator('[data-test="file"][data-state="changed"]');
await changed.first().waitFor();
await changed.first().locator('summary').click();
await page.locator('pre .new').getByText('site: attic').waitFor();
await shot('difference');

assert.equal(await kept(), '["",{},{}]', 'nothing is kept in the browser');
assert.deepEqual(problems, []);
await browser.close();
console.log('done');

async function every(suffix) {
  for (const id of ['servers', 'promise', 'software', 'addresses', 'review']) {
    await part(page, `step-${id}`).click();
    await page.locator(`[data-test="step-${id}"][aria-current]`).waitFor();
    if (id === 'review') await part(page, 'look-again').and(page.locator(':enabled')).waitFor();
    await shot(id + suffix);
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
    assert.ok(wide <= 0, `${id}${suffix} is ${wide} px too wide`);
  }
}
