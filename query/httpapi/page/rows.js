// Rows is a list that only has elements for what can be seen, so that ten
// thousand rows cost what forty do.
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

  // draw fills the visible rows at the next frame, however often it is called.
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
      row.dataset.index = index;
      row.style.top = index * this.height + "px";
      row.style.height = this.height + "px";
      this.fill(row, index);
    });
  }

  show(index) {
    const top = index * this.height;
    if (top < this.box.scrollTop) this.box.scrollTop = top;
    else if (top + this.height > this.box.scrollTop + this.box.clientHeight) {
      this.box.scrollTop = top + this.height - this.box.clientHeight;
    }
  }

  // at is the row that an event happened in, -1 if in none.
  at(event) {
    const row = event.target.closest(".row");
    return row ? +row.dataset.index : -1;
  }
}
