// What screens have in common: one request at a time, grey while it waits, and outdated answers ignored.

const GREY_AFTER_MILLISECONDS = 150;

export class Screen {
  asked = 0;

  update() {}

  leave() {
    this.asked += 1;
  }

  /** Show what is answered unless meanwhile something else was asked; `place` is busy until then. */
  async ask(question, show, failed) {
    const { app: { notices } } = this;
    this.asked += 1;
    const { asked } = this;
    const waiting = setTimeout(() => this.wait(), GREY_AFTER_MILLISECONDS);
    try {
      const answer = await question();
      if (asked !== this.asked) return;
      notices.loadedAt = Date.now();
      notices.clear();
      const [held, at] = [document.activeElement, this.at?.()];
      show(answer);
      notices.app.lock();
      if (document.activeElement !== held) this.refocus?.(held, at);
    } catch (problem) {
      if (asked !== this.asked) return;
      await failed(problem);
    } finally {
      clearTimeout(waiting);
    }
    this.place.ariaBusy = "false";
  }

  wait() {
    this.place.ariaBusy = "true";
  }
}
