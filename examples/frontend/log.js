// The activity log, and the caller's own activity.

import { drawFilters, readFilters } from './filters.js'
import { actionLabel, byId, element, formatNumber, showProblem, showStatus, timeElement } from './page.js'

/** Rows of a page. */
const PAGE_ROWS = 25
/** New rows that the first page takes before the oldest ones leave it. */
const MOST_ROWS = 200

/** The view of the log. `open` draws it, and `close` ends its live stream. */
export class LogView {
  constructor (client, me, { isOwnLog, navigate, onProblem }) {
    this.client = client
    this.me = me
    this.isOwnLog = isOwnLog
    this.navigate = navigate
    this.onProblem = onProblem
    this.path = isOwnLog ? '/v1/me/activities' : '/v1/activities'
    /** The addresses of the pages before this one. */
    this.earlier = []
    this.arrived = 0
    this.closed = new AbortController()
  }

  async open (parameters) {
    this.parameters = parameters
    const handlers = { signal: this.closed.signal }
    const scope = this.isOwnLog ? [['scope', 'me']] : [...parameters].filter(([name]) => name === 'scope')
    const [{ facets }] = await Promise.all([this.client.read('/v1/facets', scope), this.showFirstPage()])
    if (this.closed.signal.aborted) return
    drawFilters(this.me, facets, parameters, this.isOwnLog)

    byId('filters').addEventListener('submit', (event) => {
      event.preventDefault()
      this.navigate(readFilters())
    }, handlers)
    byId('filters').addEventListener('reset', (event) => {
      event.preventDefault()
      this.navigate(new URLSearchParams())
    }, handlers)
    byId('older').addEventListener('click', () => this.guard(() => this.showOlderPage()), handlers)
    byId('newer').addEventListener('click', () => this.guard(() => this.showNewerPage()), handlers)
    byId('download').addEventListener('click', () => this.guard(() => this.download()), handlers)
    byId('live').addEventListener('change', () => this.followLog(), handlers)
    this.followLog()
  }

  close () {
    this.closed.abort()
    this.following?.abort()
    document.body.dataset.live = 'off'
  }

  /** Runs an action of a button and shows its problem. */
  async guard (action) {
    showProblem('')
    try {
      await action()
    } catch (problem) {
      this.onProblem(problem)
    }
  }

  async showFirstPage () {
    const page = await this.client.read(this.path, [...this.parameters, ['limit', PAGE_ROWS], ['count', 'exact']])
    this.earlier = []
    this.total = page.total
    this.show(page, null)
  }

  async showOlderPage () {
    const address = this.next
    const page = await this.client.readNext(address)
    this.earlier.push(this.address)
    this.show(page, address)
    byId('title').focus()
  }

  async showNewerPage () {
    const address = this.earlier.at(-1)
    if (address === null) {
      await this.showFirstPage()
    } else {
      const page = await this.client.readNext(address)
      this.earlier.pop()
      this.show(page, address)
    }
    byId('title').focus()
  }

  /** Shows a page. `address` is where it can be read again; `null` for the first one. */
  show (page, address) {
    if (this.closed.signal.aborted) return
    this.address = address
    this.next = page.next
    this.total = page.total ?? this.total
    byId('rows').replaceChildren(...page.activities.map((activity) => this.row(activity)))
    byId('newer').disabled = this.earlier.length === 0
    byId('older').disabled = page.next === null
    this.arrived = 0
    this.showCount()
    showStatus(`Page ${this.earlier.length + 1} with ${formatNumber(page.activities.length)} activities.`)
  }

  showCount () {
    byId('count').textContent = this.total === 1 ? '1 activity' : `${formatNumber(this.total)} activities`
    byId('empty').hidden = byId('rows').childElementCount > 0
  }

  row (activity) {
    const { user, result } = activity
    const percent = result?.score?.percent
    return element('tr', { dataset: { id: activity.id } },
      element('td', { className: 'time' }, timeElement(activity.happened_at)),
      element('th', { scope: 'row' }, this.personLink(user), user?.active === false ? ' (deactivated)' : ''),
      element('td', {}, actionLabel(activity.action)),
      element('td', {}, ...activity.description_parts.map((part) => this.descriptionPart(activity, part))),
      element('td', { className: 'score' }, typeof percent === 'number' ? `${formatNumber(percent)}%` : ''))
  }

  /** A part of the sentence. The content leads to its page in the platform, else to its rows in the log. */
  descriptionPart (activity, part) {
    if (part.user) return this.isOwnLog ? part.text : this.filterLink('user', part.user, part.text)
    if (!part.content) return part.text
    const address = safeAddress(activity.content?.url)
    if (address && part.content === activity.content?.id) return element('a', { href: address, rel: 'noreferrer' }, part.text)
    return this.filterLink('content', part.content, part.text)
  }

  personLink (user) {
    if (!user) return ''
    if (this.isOwnLog || user.id === null) return user.name
    return this.filterLink('user', user.id, user.name)
  }

  /** A link to the same log with another value of a filter. */
  filterLink (name, value, text) {
    const parameters = new URLSearchParams(this.parameters)
    parameters.set(name, value)
    return element('a', { href: `${location.hash.split('?')[0]}?${parameters}` }, text)
  }

  async download () {
    const parameters = new URLSearchParams(this.parameters)
    if (this.isOwnLog) parameters.set('scope', 'me')
    await this.client.download('/v1/activities/export.csv', parameters)
    showStatus('The download has started.')
  }

  /** Follows the live stream, or stops to follow it. */
  followLog () {
    this.following?.abort()
    document.body.dataset.live = 'off'
    if (!byId('live').checked) return
    const following = this.following = new AbortController()
    const parameters = new URLSearchParams(this.parameters)
    if (this.isOwnLog) parameters.set('scope', 'me')
    const followed = this.client.follow(parameters, following.signal, (event) => this.guard(() => this.take(event)))
    followed.catch((problem) => this.onProblem(problem))
  }

  /** Takes an event of the live stream. */
  async take (event) {
    if (event.type === 'ready') document.body.dataset.live = 'on'
    // More was missed than the server sends again.
    if (event.type === 'reset') await this.showFirstPage()
    if (event.type !== 'activity') return
    const activity = JSON.parse(event.data)
    const rows = byId('rows')
    if ([...rows.children].some((row) => row.dataset.id === activity.id)) return
    this.arrived += 1
    this.total += 1
    showStatus(this.arrived === 1 ? '1 new activity.' : `${formatNumber(this.arrived)} new activities.`)
    if (this.address === null) {
      const row = this.row(activity)
      row.classList.add('new')
      this.insert(row, activity.happened_at)
      while (rows.childElementCount > MOST_ROWS) rows.lastElementChild.remove()
    }
    this.showCount()
  }

  /** Inserts a row by its time: an activity can be recorded long after it happened. */
  insert (row, time) {
    const rows = byId('rows')
    const older = [...rows.children].find((other) => other.querySelector('time').dateTime <= time)
    // A row that is older than the whole page belongs to a later page.
    if (older || this.next === null) rows.insertBefore(row, older ?? null)
  }
}

/** An address that a link may have. `javascript:` and the like run scripts. */
function safeAddress (text) {
  if (!text || !URL.canParse(text)) return null
  return ['http:', 'https:'].includes(new URL(text).protocol) ? text : null
}
