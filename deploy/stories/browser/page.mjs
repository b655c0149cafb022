// The alerter's page over the stories. node page.mjs STEP BASE [FOLDER]
import { barriers, expect, fits, withBrowser, wrong } from './lib.mjs';

const [step, base, folder] = process.argv.slice(2);
const REFERENCE = /INC-[0-9A-Z]{5}-[0-9A-Z]{5}/;

// Presses Tab until something with that text has the focus.
async function tabTo(page, text) {
  for (let n = 0; n < 400; n += 1) {
    await page.keyboard.press('Tab');
    const at = await page.evaluate(() => {
      const element = document.activeElement;
      if (!element || element === document.body) return '';
      return (element.innerText || element.getAttribute('placeholder') || '').trim();
    });
    if (at.startsWith(text)) {
      const ring = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
      expect(ring !== 'none', `${text}: the focus cannot be seen`);
      return;
    }
  }
  throw new Error(`"${text}" cannot be reached by keyboard on ${page.url()}`);
}

async function press(page, text) {
  await tabTo(page, text);
  await Promise.all([page.waitForNavigation(), page.keyboard.press('Enter')]);
}

// Reloads until the page holds the text.
async function until(page, path, text) {
  for (let n = 0; n < 60; n += 1) {
    await page.goto(base + path);
    if ((await page.textContent('main')).includes(text)) return;
    await page.waitForTimeout(500);
  }
  throw new Error(`${path} never says "${text}": ${await page.textContent('main')}`);
}

async function firstReference(page, path) {
  await page.goto(base + path);
  const found = (await page.textContent('main')).match(REFERENCE);
  if (!found) throw new Error(`${path} names no incident`);
  return found[0];
}

const steps = {
  // Every page in light and dark, wide and narrow: nothing blocked, no barrier, nothing cut off; pictures.
  async look(browser) {
    const some = await browser.newPage();
    const reference = await firstReference(some, '/incidents?show=all');
    await some.goto(`${base}/effects?action=notify-user&state=delivered`);
    const message = await some.getByRole('link', { name: /As the customer got it/ }).first().getAttribute('href');
    const paths = { incidents: '/incidents', incident: `/incidents/${reference}`, banks: '/banks', effects: '/effects', steering: '/steering', message, missing: '/incidents/INC-NONE' };
    for (const colorScheme of ['light', 'dark']) {
      for (const width of [1280, 375]) {
        const context = await browser.newContext({ viewport: { width, height: 900 }, colorScheme });
        for (const [name, path] of Object.entries(paths)) {
          const page = await context.newPage();
          const title = `${name}-${width}-${colorScheme}`;
          page.on('console', (line) => { if (line.type() === 'error' && name !== 'missing') wrong.push(`${title}: ${line.text()}`); });
          await page.goto(base + path);
          await barriers(page, title);
          await fits(page, title);
          await page.screenshot({ path: `${folder}/${title}.png`, fullPage: true });
          await page.close();
        }
        await context.close();
      }
    }
  },

  // A customer is on the phone: by keyboard, without JavaScript.
  async answer(browser) {
    const context = await browser.newContext({ javaScriptEnabled: false, viewport: { width: 1280, height: 900 } });
    const page = await context.newPage();
    const reference = await firstReference(page, '/incidents?show=all');
    const ids = (await page.textContent('main')).match(/connection (\S+) · user (\S+)/);
    for (const [what, typed] of [['connection', ids[1]], ['user', ids[2]]]) {
      await page.goto(base + '/incidents');
      await page.locator('#q').focus();
      await page.keyboard.type(typed);
      await Promise.all([page.waitForNavigation(), page.keyboard.press('Enter')]);
      const main = await page.textContent('main');
      expect(main.includes(reference) && main.includes(`Found by ${what}.`), `search by ${what}: ${main}`);
    }
    await page.goto(base + '/incidents');
    await page.locator('#q').focus();
    await page.keyboard.type(reference.toLowerCase());
    await Promise.all([page.waitForNavigation(), page.keyboard.press('Enter')]);
    expect(page.url().endsWith(`/incidents/${reference}`), `a reference leads to ${page.url()}`);
    const main = await page.textContent('main');
    for (const owed of ['What happened', 'What was sent, or not, and why', 'What is known', ids[1]]) {
      expect(main.includes(owed), `the incident does not say "${owed}"`);
    }
    await page.goto(`${base}/effects?action=notify-user&state=delivered`);
    await page.getByRole('link', { name: /As the customer got it/ }).first().focus();
    await Promise.all([page.waitForNavigation(), page.keyboard.press('Enter')]);
    const frame = page.frameLocator('iframe');
    const read = await frame.locator('body').textContent();
    expect(read.includes('Example Money Pty Ltd'), `the message lacks its sender: ${read}`);
    const sandbox = await page.locator('iframe').getAttribute('sandbox');
    expect(sandbox === '', `the frame may ${sandbox}`);
  },

  // Lets the first hold go, by keyboard alone.
  async release(browser) {
    const page = await browser.newPage();
    await until(page, '/steering', 'Hold ');
    const hold = (await page.textContent('main')).match(/Hold (\d+)/)[1];
    await press(page, 'Release');
    expect((await page.textContent('[role=status]')).includes('Released'), 'nothing says that it was released');
    await until(page, '/steering', 'Steering');
    expect(!(await page.textContent('main')).includes(`Hold ${hold}:`), `hold ${hold} is still there`);
  },

  // Withdraws one message that waits and tries it again, pauses and resumes, by keyboard alone.
  async steer(browser) {
    const page = await browser.newPage();
    await until(page, '/effects?action=notify-user&state=deferred', 'Cancel');
    const before = await page.getByRole('button', { name: 'Cancel' }).count();
    await press(page, 'Cancel');
    expect((await page.textContent('[role=status]')).includes('Cancelled'), 'nothing says that it was cancelled');
    await until(page, '/effects?action=notify-user&state=cancelled', 'cancelled by a person');
    await page.goto(`${base}/effects?action=notify-user&state=deferred`);
    const after = await page.getByRole('button', { name: 'Cancel' }).count();
    expect(after === before - 1, `${before} waited before, ${after} after one was cancelled`);
    await page.goto(`${base}/effects?action=notify-user&state=cancelled`);
    await press(page, 'Try now');
    expect((await page.textContent('[role=status]')).includes('tried again'), 'nothing says that it is tried again');

    await page.goto(`${base}/steering`);
    await page.getByLabel('Rule').focus();
    await page.keyboard.type('ConnectionOfNobody');
    await press(page, 'Pause');
    expect((await page.textContent('main')).includes('Everything of rule ConnectionOfNobody'), 'the pause is not shown');
    await press(page, 'Resume');
    expect(!(await page.textContent('main')).includes('ConnectionOfNobody'), 'the pause is still shown');
  },
};

await withBrowser(steps[step]);
