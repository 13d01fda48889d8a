// A table that is sorted by its header and updated in place: rows keep their elements, so that a selection, the
// focus and the scroll position survive every snapshot.

const collator = new Intl.Collator("en", { numeric: true, sensitivity: "variant" });

/** A table of items.
 *
 * A column is `{ id, label, hint, numeric, value(item), text(item), mark(item), act(item) }`: `value` is sorted by, `text`
 * is shown, `mark` is a class for the cell or nothing. With `act` the text is a button, of the class `actClass`.
 */
export class Table {
  #head;
  #body;
  #columns;
  #key;
  #rowMark;
  #sort;
  #rows = new Map();
  #itemOf = new WeakMap();
  #items = [];

  constructor({ head, body, columns, key, rowMark, sort }) {
    this.#head = head;
    this.#body = body;
    this.#columns = columns;
    this.#key = key;
    this.#rowMark = rowMark ?? (() => "");
    this.#sort = sort;
  }

  /** Puts this table's header and rows on the page in place of another's. */
  show() {
    const row = document.createElement("tr");
    for (const column of this.#columns) row.append(this.#headCell(column));
    this.#head.replaceChildren(row);
    this.#body.replaceChildren();
    this.#arrange();
  }

  /** Takes the newest items; `visible` tells whether this is the table on the page. */
  update(items, visible) {
    this.#items = items;
    if (visible) this.#arrange();
  }

  #headCell(column) {
    const cell = document.createElement("th");
    cell.scope = "col";
    cell.dataset.column = column.id;
    if (column.numeric) cell.className = "number";
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = column.label;
    if (column.hint) button.title = column.hint;
    button.addEventListener("click", () => this.#sortBy(column));
    cell.append(button);
    return cell;
  }

  #sortBy(column) {
    const first = column.numeric ? "descending" : "ascending";
    const second = column.numeric ? "ascending" : "descending";
    const again = this.#sort.column === column.id && this.#sort.order === first;
    this.#sort = { column: column.id, order: again ? second : first };
    this.#arrange();
  }

  #arrange() {
    for (const cell of this.#head.querySelectorAll("th")) {
      if (cell.dataset.column === this.#sort.column) cell.setAttribute("aria-sort", this.#sort.order);
      else cell.removeAttribute("aria-sort");
    }
    const rows = new Map();
    let place = this.#body.firstElementChild;
    for (const item of this.#sorted()) {
      const key = this.#key(item);
      const row = this.#rows.get(key) ?? this.#newRow();
      this.#fill(row, item);
      rows.set(key, row);
      if (row === place) place = place.nextElementSibling;
      else this.#body.insertBefore(row, place);
    }
    while (place) {
      const next = place.nextElementSibling;
      place.remove();
      place = next;
    }
    this.#rows = rows;
  }

  #sorted() {
    const column = this.#columns.find(({ id }) => id === this.#sort.column);
    const sign = this.#sort.order === "ascending" ? 1 : -1;
    const compare = column.numeric
      ? (a, b) => (column.value(a) ?? -1) - (column.value(b) ?? -1)
      : (a, b) => collator.compare(column.value(a), column.value(b));
    // Equal ones stay in the broker's order: the sort is stable.
    return [...this.#items].sort((a, b) => sign * compare(a, b));
  }

  #newRow() {
    const row = document.createElement("tr");
    this.#columns.forEach((column, index) => {
      const cell = document.createElement(index === 0 ? "th" : "td");
      if (index === 0) cell.scope = "row";
      cell.dataset.kind = column.numeric ? "number" : "text";
      // Isolated, so that right-to-left text reorders nothing around it.
      const content = document.createElement(column.numeric ? "span" : "bdi");
      cell.append(column.act ? this.#actor(row, column, content) : content);
      row.append(cell);
    });
    return row;
  }

  #actor(row, column, content) {
    const actor = document.createElement("button");
    actor.type = "button";
    actor.className = column.actClass ?? "link";
    actor.append(content);
    actor.addEventListener("click", () => column.act(this.#itemOf.get(row)));
    return actor;
  }

  #fill(row, item) {
    this.#itemOf.set(row, item);
    setClass(row, this.#rowMark(item));
    this.#columns.forEach((column, index) => {
      const cell = row.children[index];
      const content = column.act ? cell.firstElementChild.firstElementChild : cell.firstElementChild;
      const shown = column.text(item);
      if (content.textContent !== shown) {
        content.textContent = shown;
        if (!column.numeric) cell.title = shown;
      }
      const mark = column.mark?.(item) ?? (column.numeric && column.value(item) === 0 ? "zero" : "");
      setClass(cell, mark);
    });
  }
}

function setClass(node, name) {
  if (node.className !== name) node.className = name;
}
