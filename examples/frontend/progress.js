// The progress of people with one content, also of those that never started.

import { byId, dayElement, element, formatNumber, showProblem, showStatus } from './page.js'

const STATES = {
  completed: 'Completed',
  expired: 'Expired',
  failed: 'Failed',
  in_progress: 'In progress',
  not_started: 'Not started'
}

/** The view of the progress. */
export class ProgressView {
  constructor (client, { navigate, onProblem }) {
    this.client = client
    this.navigate = navigate
    this.onProblem = onProblem
    this.closed = new AbortController()
  }

  async open (parameters) {
    const handlers = { signal: this.closed.signal }
    const { contents } = await this.client.read('/v1/contents', [['limit', '200']])
    if (this.closed.signal.aborted) return
    const chosen = parameters.get('content') ?? contents[0]?.id
    byId('content').replaceChildren(...contents.map(({ id, title }) =>
      element('option', { value: id, selected: id === chosen }, title ?? id)))
    byId('content').addEventListener('change', () => {
      this.navigate(new URLSearchParams([['content', byId('content').value]]))
    }, handlers)
    byId('more-people').addEventListener('click', () => this.showMore(), handlers)
    byId('people').replaceChildren()
    byId('states').replaceChildren()
    if (chosen === undefined) {
      showStatus('There are no contents.')
      return
    }
    const page = await this.client.read(`/v1/contents/${encodeURIComponent(chosen)}/progress`, [['limit', '50'], ['count', 'exact']])
    if (this.closed.signal.aborted) return
    byId('states').replaceChildren(...Object.entries(STATES).map(([state, label]) =>
      element('li', {}, `${label}: ${formatNumber(page.states[state] ?? 0)}`)))
    this.show(page)
    showStatus(`${formatNumber(page.total)} people.`)
  }

  close () {
    this.closed.abort()
  }

  async showMore () {
    showProblem('')
    try {
      const first = byId('people').childElementCount
      this.show(await this.client.readNext(this.next))
      showStatus(`${formatNumber(byId('people').childElementCount - first)} more people.`)
    } catch (problem) {
      this.onProblem(problem)
    }
  }

  show (page) {
    this.next = page.next
    byId('more-people').hidden = page.next === null
    byId('people').append(...page.progress.map((person) => element('tr', {},
      element('th', { scope: 'row' }, person.user.name),
      element('td', {}, STATES[person.state] ?? person.state),
      element('td', { className: 'time' }, person.since ? dayElement(person.since) : ''),
      element('td', { className: 'score' }, typeof person.score === 'number' ? `${formatNumber(person.score)}%` : ''),
      element('td', { className: 'time' }, person.expires_at ? dayElement(person.expires_at) : ''))))
  }
}
