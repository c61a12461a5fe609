export async function register() {
  if (process.env.NEXT_RUNTIME !== "nodejs" || !process.env.LOG_DOWNLOADS) return;
  const { onDownloadComplete } = await import("hfdmd-nextjs/server");
  onDownloadComplete((item) => console.log(`downloaded: ${item.modelRepo}`));
}
