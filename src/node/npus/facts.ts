/** What the CI script mounts into every job besides an agent's own devices (run-npu-test.sh). */
export const sharedNpuDevices = ["/dev/davinci_manager", "/dev/devmm_svm", "/dev/hisi_hdc"];
