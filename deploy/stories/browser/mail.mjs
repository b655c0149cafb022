// Mails as their readers see them. node mail.mjs FOLDER: measures and takes pictures of every .html in it.
import fs from 'node:fs';
import path from 'node:path';
import { barriers, expect, fits, withBrowser } from './lib.mjs';

const [folder, pictures] = process.argv.slice(2);

await withBrowser(async (browser) => {
  for (const colorScheme of ['light', 'dark']) {
    for (const width of [375, 800]) {
      const context = await browser.newContext({ viewport: { width, height: 700 }, colorScheme });
      for (const file of fs.readdirSync(folder).filter((name) => name.endsWith('.html')).sort()) {
        const title = `${path.basename(file, '.html')}-${width}-${colorScheme}`;
        const page = await context.newPage();
        await page.goto('file://' + path.join(folder, file));
        await fits(page, title);
        await barriers(page, title, true);
        const smallest = await page.evaluate(() => Math.min(...[...document.querySelectorAll('div')]
          .filter((element) => element.innerText.trim() && !element.querySelector('div, table'))
          .map((element) => parseFloat(getComputedStyle(element).fontSize))));
        expect(smallest >= 14, `${title}: text of ${smallest} pixels is hard to read on a phone`);
        await page.screenshot({ path: path.join(pictures, `${title}.png`), fullPage: true });
        await page.close();
      }
      await context.close();
    }
  }
});
