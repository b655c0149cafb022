// What the scripts share: the browser, axe, and the list of what is wrong.
import fs from 'node:fs';
import { createRequire } from 'node:module';

const require = createRequire(process.env.BROWSER_MODULES + '/package.json');
const { chromium } = require('playwright-core');
const axe = fs.readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');
const FLAGS = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
  '--disable-background-networking', '--disable-component-update', '--disable-sync'];

export const wrong = [];

export function expect(truth, what) {
  if (!truth) wrong.push(what);
}

// Runs `work` with a new browser, which has an empty profile of its own, and says what is wrong.
export async function withBrowser(work) {
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM, args: FLAGS });
  try {
    await work(browser);
  } finally {
    await browser.close();
  }
  console.log(JSON.stringify(wrong));
}

// Says what axe finds on a page. A mail is shown within another page, whose landmarks and headings it need not repeat:
// of it only what WCAG asks for is owed, but for the title, which is the mail's subject.
export async function barriers(page, name, isMail = false) {
  await page.evaluate(axe);
  const tags = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'];
  const options = isMail ? { runOnly: { type: 'tag', values: tags }, rules: { 'document-title': { enabled: false } } } : {};
  const found = await page.evaluate((options) => axe.run(options), options);
  for (const violation of found.violations) {
    const places = violation.nodes.slice(0, 3).map((node) => node.target.join(' ')).join(' | ');
    wrong.push(`${name}: axe: ${violation.id}: ${violation.help}: ${places}`);
  }
}

// Says when a page is wider than its window.
export async function fits(page, name) {
  const over = await page.evaluate(() => {
    const root = document.documentElement;
    return Math.max(root.scrollWidth, document.body.scrollWidth) - root.clientWidth;
  });
  expect(over <= 0, `${name}: ${over} pixels wider than the window`);
}
