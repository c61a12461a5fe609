import { DownloadQueue, HfdmdProvider } from "hfdmd-nextjs/react";
import { hfdmd } from "hfdmd-nextjs/server";
import { connection } from "next/server";

import { Frame } from "../../lib/frame";

export default async function Page() {
  await connection(); // the state is that of each request, not of the build
  return (
    <Frame at="/queue">
      <h1 className="pb-6 text-3xl font-semibold tracking-tight">Downloads</h1>
      <HfdmdProvider initial={await hfdmd().snapshot()}>
        <DownloadQueue showInTitle />
      </HfdmdProvider>
    </Frame>
  );
}
