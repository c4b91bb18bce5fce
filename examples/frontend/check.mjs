// Drives the example of a frontend in headless Chromium, as a person at work does, and checks it with axe-core.
//
//   ROLLBOOK_CLIENT_URL          the server, which serves the page at /example
//   ROLLBOOK_CLIENT_ADMIN_TOKEN  a token of an administrator, which also records the activity that comes live
//   ROLLBOOK_CLIENT_LEARNER_TOKEN  a token of a learner
//   ROLLBOOK_CLIENT_EXPIRED_TOKEN  a token that has expired
//   ROLLBOOK_CLIENT_SCREENSHOTS  a folder for screenshots; may be left out
//   CHROMIUM                     the browser; `chromium` unless given
//
// The organisation needs more than 25 activities, some of them failed ones of the content `fire`, and the user `bo`.

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { chromium } from 'playwright-core'

const {
  ROLLBOOK_CLIENT_URL: base,
  ROLLBOOK_CLIENT_ADMIN_TOKEN: adminToken,
  ROLLBOOK_CLIENT_LEARNER_TOKEN: learnerToken,
  ROLLBOOK_CLIENT_EXPIRED_TOKEN: expiredToken,
  ROLLBOOK_CLIENT_SCREENSHOTS: screenshots
} = process.env
const executablePath = process.env.CHROMIUM ?? execFileSync('which', ['chromium'], { encoding: 'utf8' }).trim()
const axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

const browser = await chromium.launch({
  executablePath,
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync', '--disable-dev-shm-usage']
})

/** Opens a new session of the browser. Every error of the page's scripts fails the check. */
async function openSession (options = {}) {
  const session = await browser.newContext({ viewport: { width: 1200, height: 900 }, ...options })
  const page = await session.newPage()
  page.setDefaultTimeout(15_000)
  page.errors = []
  page.on('pageerror', (error) => page.errors.push(String(error)))
  page.on('console', (message) => {
    // Refused requests of this check are errors of the network there, and no faults of the page.
    if (message.type() === 'error' && !message.text().includes('Failed to load resource')) page.errors.push(message.text())
  })
  return page
}

async function signIn (page, token) {
  await page.goto(`${base}/example`)
  await page.getByLabel('Token').fill(token)
  await page.getByRole('button', { name: 'Sign in' }).click()
}

/** Waits until a view is drawn. */
const drawn = (page, view) => page.waitForSelector(`body[data-view="${view}"]`)
const rows = (page) => page.locator('#rows tr')

/** Fails on every violation of the rules of WCAG 2.2 A and AA, and of axe's best practices. */
async function checkAccessibility (page, name) {
  // The policy of the page refuses scripts inside it; the debugger may run this one.
  await page.evaluate(axe)
  const { violations } = await page.evaluate(() => globalThis.axe.run(document, {
    runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']
  }))
  const found = violations.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.map((node) => node.html).join('\n  ')}`)
  assert.deepEqual(found, [], `accessibility of ${name}`)
  if (screenshots) await page.screenshot({ path: join(screenshots, `${name}.png`), fullPage: true })
}

/** Presses Tab until the element with this role and name has the focus. */
async function tabTo (page, name) {
  for (let presses = 0; presses < 60; presses += 1) {
    await page.keyboard.press('Tab')
    const text = await page.evaluate(() => {
      const focused = document.activeElement
      return (focused.labels?.[0] ?? focused).textContent.trim()
    })
    if (text.startsWith(name)) return
  }
  throw new Error(`Tab never reaches "${name}"`)
}

async function recordActivity () {
  const answer = await fetch(`${base}/v1/activities`, {
    method: 'POST',
    headers: { Authorization: `Bearer ${adminToken}`, 'Content-Type': 'application/json' },
    body: JSON.stringify({ user: 'bo', action: 'completed', content: 'fire' })
  })
  assert.equal(answer.status, 201, await answer.text())
}

async function checkSignIn () {
  const page = await openSession()
  await page.goto(`${base}/example`)
  await checkAccessibility(page, 'sign-in')
  await page.getByLabel('Token').fill('nonsense')
  await page.getByRole('button', { name: 'Sign in' }).click()
  await page.waitForFunction(() => document.querySelector('#problem').textContent !== '')
  if (expiredToken) {
    await page.getByLabel('Token').fill(expiredToken)
    await page.getByRole('button', { name: 'Sign in' }).click()
    await page.getByText('The session has ended. Sign in again.').waitFor()
  }
  await page.context().close()
  return page.errors
}

async function checkLog () {
  const page = await openSession()
  await signIn(page, adminToken)
  await drawn(page, 'log')
  assert.equal(await rows(page).count(), 25)
  await checkAccessibility(page, 'log')

  // Paging there and back.
  const first = await rows(page).first().getAttribute('data-id')
  await page.getByRole('button', { name: 'Older' }).click()
  await page.getByText('Page 2 with').waitFor()
  assert.notEqual(await rows(page).first().getAttribute('data-id'), first)
  await page.getByRole('button', { name: 'Newer' }).click()
  await page.getByText('Page 1 with').waitFor()
  assert.equal(await rows(page).first().getAttribute('data-id'), first)

  // A filter of the bar, by the keyboard alone. The address has it, so it can be sent to a colleague.
  await tabTo(page, 'Action')
  await page.keyboard.type('Failed')
  await tabTo(page, 'Apply')
  await page.keyboard.press('Enter')
  await page.waitForFunction(() => location.hash.includes('action=failed'))
  await page.waitForFunction(() => [...document.querySelectorAll('#rows .label')].every((label) => label.textContent === 'Failed'))
  await drawn(page, 'log')
  assert.ok(await rows(page).count() > 0)
  const [text, background] = await rows(page).first().locator('.label').evaluate((label) => {
    const { color, backgroundColor } = getComputedStyle(label)
    return [color, backgroundColor]
  })
  assert.ok(background.startsWith('rgb(') && text !== background, `the label has the colour of its action: ${text} on ${background}`)

  // The name of a person leads to that person's rows.
  const [name, link] = await rows(page).first().locator('th a').evaluate((found) => [found.textContent, found.hash])
  assert.ok(link.includes('user='), link)
  await rows(page).first().locator('th a').click()
  await page.waitForFunction(() => location.hash.includes('user='))
  await page.waitForFunction((name) => [...document.querySelectorAll('#rows th')].every((cell) => cell.textContent === name), name)
  await drawn(page, 'log')

  // The browser saves the file by a link; the page itself never has it.
  const [download] = await Promise.all([
    page.waitForEvent('download'),
    page.getByRole('button', { name: 'Download CSV' }).click()
  ])
  const csv = await readFile(await download.path(), 'utf8')
  const lines = csv.trim().split('\r\n')
  assert.ok(lines[0].startsWith('First name,'), lines[0])
  const total = Number.parseInt(await page.locator('#count').textContent(), 10)
  assert.equal(lines.length, total + 1, 'the file has the rows of the log with these filters')
  assert.match(download.suggestedFilename(), /\.csv$/)

  // A row of the log comes by itself.
  await page.getByRole('button', { name: 'Clear' }).click()
  await page.waitForFunction(() => document.querySelectorAll('#rows tr').length === 25)
  await page.waitForSelector('body[data-view="log"][data-live="on"]')
  await recordActivity()
  await page.waitForSelector('#rows tr.new')
  assert.match(await page.locator('#rows tr.new').first().textContent(), /Completed Fire Safety/)
  await page.getByText('1 new activity.').waitFor()
  await checkAccessibility(page, 'log-live')

  // A wrong filter in the address is answered with the server's reason.
  await page.goto(`${base}/example#/log?acton=failed`)
  await page.waitForFunction(() => document.querySelector('#problem').textContent.includes('acton'))
  await page.context().close()
  return page.errors
}

async function checkProgress () {
  const page = await openSession({ colorScheme: 'dark' })
  await page.goto(`${base}/example#token=${adminToken}`)
  await drawn(page, 'log')
  assert.ok(!page.url().includes('token'), 'the token leaves the address')
  await checkAccessibility(page, 'log-dark')
  await page.getByRole('link', { name: 'Progress' }).click()
  await drawn(page, 'progress')
  await page.locator('#progress').getByLabel('Content').selectOption({ label: 'Fire Safety' })
  await page.waitForFunction(() => location.hash.includes('content=fire'))
  await page.locator('#people tr').first().waitFor()
  await page.getByText(/^Completed: [1-9]\d*$/).waitFor()
  assert.equal(await page.evaluate(() => document.activeElement.id), 'title', 'the focus is at the title of the new view')
  await checkAccessibility(page, 'progress-dark')
  await page.context().close()
  return page.errors
}

async function checkLearner () {
  const page = await openSession({ viewport: { width: 390, height: 800 } })
  await signIn(page, learnerToken)
  await drawn(page, 'log')
  await page.getByRole('link', { name: 'My activity' }).click()
  await drawn(page, 'mine')
  assert.ok(await rows(page).count() > 0)
  assert.equal(await page.getByLabel('Person', { exact: true }).count(), 0, 'the own log has no filter of persons')
  await checkAccessibility(page, 'mine-narrow')
  await page.getByRole('button', { name: 'Sign out' }).click()
  await page.getByLabel('Token').waitFor()
  await page.reload()
  assert.ok(await page.getByLabel('Token').isVisible(), 'the token is forgotten')
  await page.context().close()
  return page.errors
}

try {
  for (const check of [checkSignIn, checkLog, checkProgress, checkLearner]) {
    assert.deepEqual(await check(), [], `errors of scripts in ${check.name}`)
    console.log(`${check.name} passed`)
  }
  console.log('the frontend works')
} finally {
  await browser.close()
}
