// placeholder until the maintenance person's file replaces it
export async function storeStats(..._: unknown[]): Promise<never> { throw new Error('soon'); }
export async function datasetStats(..._: unknown[]): Promise<never> { throw new Error('soon'); }
