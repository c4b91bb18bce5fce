// What all views use: elements, times, labels, messages.

/** The element with this id. */
export const byId = (id) => document.getElementById(id)

/** Creates an element with properties and children. Texts become text nodes, so no data is read as HTML. */
export function element (name, properties = {}, ...children) {
  const { dataset, ...plain } = properties
  const created = Object.assign(document.createElement(name), plain)
  Object.assign(created.dataset, dataset)
  created.append(...children.filter((child) => child !== null && child !== undefined))
  return created
}

const times = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'short' })
const days = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium' })

/** A `time` element in the reader's language and time zone. */
export const timeElement = (time) => element('time', { dateTime: time }, times.format(new Date(time)))
export const dayElement = (time) => element('time', { dateTime: time }, days.format(new Date(time)))

const numbers = new Intl.NumberFormat()
export const formatNumber = (number) => numbers.format(number)

/** The label of an action in its colours for light and dark pages; `style.css` chooses. */
export function actionLabel (action) {
  const label = element('span', { className: 'label' }, action.label)
  for (const [page, colour] of [['light', action.colour], ['dark', action.colour_on_dark ?? action.colour]]) {
    label.style.setProperty(`--${page}`, colour)
    // Black or white, whichever has more contrast to the colour.
    label.style.setProperty(`--${page}-text`, luminance(colour) > 0.179 ? '#000000' : '#ffffff')
  }
  return label
}

/** The relative luminance of `#rrggbb`, as WCAG defines it. */
function luminance (colour) {
  const parts = [1, 3, 5].map((start) => parseInt(colour.slice(start, start + 2), 16) / 255)
  const [red, green, blue] = parts.map((part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue
}

/** Shows a message to everybody, screen readers included. */
export function showStatus (text) {
  byId('status').textContent = text
}

export function showProblem (text) {
  byId('problem').textContent = text
}
