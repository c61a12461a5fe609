import { allowAll, createApiHandler } from "hfdmd-nextjs/next-pages";

/** The handler of every file in pages/api; the file's name selects the call. */
export const hfdmd = createApiHandler({ authorize: allowAll });
