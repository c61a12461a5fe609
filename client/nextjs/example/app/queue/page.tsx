import { DownloadQueue } from "hfdmd-nextjs/react";

import { Frame } from "../../lib/frame";

export default function Page() {
  return (
    <Frame at="/queue">
      <h1 className="pb-6 text-3xl font-semibold tracking-tight">Downloads</h1>
      <DownloadQueue showInTitle />
    </Frame>
  );
}
