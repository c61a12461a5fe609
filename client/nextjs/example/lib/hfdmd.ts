import { allowAll, createApiHandler } from "hfdmd-nextjs/next-pages";

/** What every file in pages/api answers with; which call it is, its name tells. */
export const hfdmd = createApiHandler({ authorize: allowAll });
