/** A chunk or tensor is not in the catalog any more: the version that was read expired. Never leaves the store: views make it `VersionExpiredError`. */
export class GoneError extends Error {
  constructor(what: string) {
    super(`${what} was collected`);
    this.name = "GoneError";
  }
}
