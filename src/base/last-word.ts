/**
 * Something that is said once, at most, to whoever listens then, and soon to whoever comes to listen later. For
 * ends: they may come between the moment in which something was made and that in which its owner has it.
 */
export class LastWord<T> {
  #listener: (word: T) => void = () => undefined;
  #said: { word: T } | undefined;

  get said(): boolean {
    return this.#said !== undefined;
  }

  get listener(): (word: T) => void {
    return this.#listener;
  }

  set listener(listener: (word: T) => void) {
    this.#listener = listener;
    const said = this.#said;
    if (said === undefined) return;
    queueMicrotask(() => {
      // Unless somebody else listens by now: he has been told for himself.
      if (this.#listener === listener) listener(said.word);
    });
  }

  say(word: T): void {
    if (this.#said !== undefined) return;
    this.#said = { word };
    this.#listener(word);
  }
}
