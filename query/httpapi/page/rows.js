// Rows is a list that has elements only for the visible rows, so that ten thousand
// rows cost as much as forty. The view fills each element and marks it with the node
// that it shows, so that an event is about the node that was drawn.
class Rows {
  constructor(box, fill) {
    this.box = box;
    this.fill = fill; // (element, index) => void
    this.count = 0;
    this.height = 28;
    this.spacer = element("div", "spacer");
    this.pool = [];
    box.replaceChildren(this.spacer);
    box.addEventListener("scroll", () => this.draw(), { passive: true });
    new ResizeObserver(() => this.draw()).observe(box);
  }

  set(count, height) {
    this.count = count;
    this.height = height;
    this.spacer.style.height = count * height + "px";
    this.draw();
  }

  // draw fills the visible rows once at the next frame, even if it is called often.
  draw() {
    this.pending ||= requestAnimationFrame(() => {
      this.pending = 0;
      this.fillVisible();
    });
  }

  fillVisible() {
    const first = Math.max(0, Math.floor(this.box.scrollTop / this.height) - 5);
    const last = Math.min(this.count, first + Math.ceil(this.box.clientHeight / this.height) + 10);
    while (this.pool.length < last - first) {
      const row = element("div", "row");
      this.pool.push(row);
      this.spacer.append(row);
    }
    this.pool.forEach((row, slot) => {
      const index = first + slot;
      row.hidden = index >= last;
      if (row.hidden) return;
      row.style.top = index * this.height + "px";
      row.style.height = this.height + "px";
      this.fill(row, index);
    });
  }

  // show scrolls to a row: as little as possible to a row next to the visible ones,
  // and otherwise so that the row is in the middle.
  show(index) {
    const top = index * this.height;
    const [above, below] = [this.box.scrollTop - top, top + this.height - this.box.scrollTop - this.box.clientHeight];
    if (Math.max(above, below) > this.height) this.box.scrollTop = top + (this.height - this.box.clientHeight) / 2;
    else if (above > 0) this.box.scrollTop = top;
    else if (below > 0) this.box.scrollTop += below;
  }
}
