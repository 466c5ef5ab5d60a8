// Short words for what a person does in the wizard of `quorate setup`.
import { part } from './browser.mjs';

export const press = (page, name) => part(page, name).click();
export const field = (page, name) => page.locator(`[data-field="${name}"]`);

/** The step that is shown. */
export async function step(page) {
  const shown = await page.locator('nav a[aria-current]').getAttribute('data-test');
  return shown.replace('step-', '');
}

/** A good first step. */
export async function describe(page, { addresses, scope = 'shop' }) {
  await field(page, 'scope').fill(scope);
  for (const [at, address] of addresses.entries()) {
    await field(page, `members[${at}].name`).fill(`pg${at + 1}`);
    await field(page, `members[${at}].address`).fill(address);
  }
  await page.locator('#member').selectOption('pg1');
}

/** Types something wrong, waits for the message at the field, and puts back what was right (`from`, or what was there). */
export async function bad(page, name, text, said, { leave = false, from } = {}) {
  const input = field(page, name);
  const right = from ?? (await input.inputValue());
  await input.fill(text);
  await input.blur();
  const message = page.locator(`[data-said="${name}"] .error`).filter({ hasText: said });
  await message.waitFor();
  if ((await input.getAttribute('aria-invalid')) !== 'true') throw new Error(`${name} does not say that it is wrong`);
  if (leave) return;
  await input.fill(right);
  await input.blur();
  await message.waitFor({ state: 'detached' });
}
