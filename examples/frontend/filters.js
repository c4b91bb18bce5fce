// The filter bar: its fields come from `/v1/me` and `/v1/facets`, so it offers only what finds something.

import { byId, element, formatNumber } from './page.js'

const SCOPES = { company: 'The whole company', managed: 'My reports', me: 'Myself' }

const PERIODS = {
  today: 'Today',
  yesterday: 'Yesterday',
  last_7_days: 'Last 7 days',
  last_30_days: 'Last 30 days',
  this_month: 'This month',
  previous_month: 'Previous month',
  previous_quarter: 'Previous quarter',
  previous_year: 'Previous year'
}

/** The facets that the bar shows, with the labels of their fields. */
const FACETS = {
  action: 'Action',
  type: 'Type',
  content_type: 'Content type',
  content: 'Content',
  team: 'Team',
  user: 'Person',
  tag: 'Tag',
  result: 'Result'
}

/**
 * Draws the bar with the values of `current`, a `URLSearchParams`. With `isOwnLog` it has no fields about other people.
 */
export function drawFilters (me, facets, current, isOwnLog) {
  const fields = []
  if (!isOwnLog) {
    const scopes = me.scopes.filter((scope) => scope in SCOPES).map((scope) => [scope, SCOPES[scope]])
    fields.push(selectField('scope', 'Scope', 'All that I may see', scopes, current))
    if (me.include_sub_managers && me.scopes.includes('managed')) {
      fields.push(checkField('include_sub_managers', 'Include indirect reports', current))
    }
  }
  fields.push(selectField('period', 'Period', 'Any time', Object.entries(PERIODS), current))
  for (const [name, label] of Object.entries(FACETS)) {
    if (isOwnLog && (name === 'team' || name === 'user')) continue
    const values = facets.find((facet) => facet.name === name)?.values ?? []
    const options = values.map(({ value, label, count }) => [String(value), `${label} (${formatNumber(count)})`])
    fields.push(selectField(name, label, 'Any', options, current))
  }
  fields.push(field('title', 'Title contains',
    element('input', { type: 'search', name: 'title', value: current.get('title') ?? '' })))
  fields.push(checkField('completed', 'Completions only', current))
  if (!isOwnLog) fields.push(checkField('include_deactivated', 'Include former employees', current))
  fields.push(element('div', { className: 'buttons' },
    element('button', { type: 'submit' }, 'Apply'),
    element('button', { type: 'reset' }, 'Clear')))
  byId('filters').replaceChildren(...fields)
}

/** The parameters that the bar has now. */
export function readFilters () {
  const pairs = [...new FormData(byId('filters'))].filter(([, value]) => value.trim() !== '')
  const parameters = new URLSearchParams(pairs)
  // Only `managed` can include the indirect reports.
  if (parameters.get('scope') !== 'managed') parameters.delete('include_sub_managers')
  return parameters
}

function selectField (name, label, all, options, current) {
  const chosen = current.get(name) ?? ''
  // A value that is not in the list, from a link for example, stays chosen.
  const isMissing = chosen !== '' && !options.some(([value]) => value === chosen)
  const shown = [['', all], ...options, ...(isMissing ? [[chosen, chosen]] : [])]
  return field(name, label, element('select', { name }, ...shown.map(([value, text]) =>
    element('option', { value, selected: value === chosen }, text))))
}

/** A control with its label. */
function field (name, label, control) {
  control.id = `filter-${name}`
  return element('div', { className: 'field' }, element('label', { htmlFor: control.id }, label), control)
}

function checkField (name, label, current) {
  return element('label', { className: 'check' },
    element('input', { type: 'checkbox', name, value: 'true', checked: current.get(name) === 'true' }), label)
}
