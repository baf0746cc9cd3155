# Made by bake from profile minimal; edit that.
packer {
  required_version = ">= 1.11.0"
  required_plugins {
    qemu = {
      source  = "github.com/hashicorp/qemu"
      version = ">= 1.0.9"
    }
  }
}

variable "base" {
  type        = string
  description = "The base disk image, a qcow2 file."
}

variable "base_checksum" {
  type        = string
  description = "sha256:… of the base."
}

variable "artifacts" {
  type        = string
  description = "Folder with the artifacts by content address: sha256/ab/cdef…"
}

variable "output" {
  type        = string
  description = "Folder that Packer makes for the disk it builds."
}

variable "log" {
  type        = string
  description = "Existing folder for the serial console and the journal."
}

variable "packages" {
  type        = string
  description = "File that files of the packages which the bake installs are fetched into; an archive."
}

variable "ssh_private_key_file" {
  type        = string
  description = "Private key of a key pair made for this build."
}

variable "ssh_public_key" {
  type        = string
  description = "Its public half; goes into the build VM and is removed again."
}

variable "root_password" {
  type        = string
  sensitive   = true
  description = "Password of root on the base, by PKR_VAR_root_password; the first step locks it."
}

variable "stages" {
  type        = string
  default     = "base runtime payload node"
  description = "What is left to do: less than all of it where the base is a layer that bake kept."
}

variable "layers" {
  type        = string
  default     = ""
  description = "Where below the artifacts bake answers once it has kept a layer; empty: no layers are kept."
}

variable "qmp" {
  type        = string
  default     = ""
  description = "Socket of QEMU's machine protocol, by which bake keeps layers."
}

variable "accelerator" {
  type    = string
  default = "kvm"
}

variable "cpu_model" {
  type    = string
  default = "host"
}

source "qemu" "node" {
  iso_url      = var.base
  iso_checksum = var.base_checksum
  disk_image   = true
  # An overlay starts at once; the result is flattened afterwards, so it does not depend on the base.
  use_backing_file   = true
  skip_compaction    = true
  disk_compression   = false
  format             = "qcow2"
  disk_size          = "40G"
  disk_interface     = "virtio"
  disk_discard       = "unmap"
  disk_detect_zeroes = "unmap"
  net_device         = "virtio-net"

  machine_type = "q35"
  accelerator  = var.accelerator
  cpu_model    = var.cpu_model
  cpus         = 2
  memory       = 2048
  headless     = true
  # Without VNC there is no boot command to type, nor the ten seconds' wait before it.
  disable_vnc = true
  qemuargs = concat([
    ["-serial", "file:${var.log}/console.log"],
    ["-netdev", "user,id=user.0,hostfwd=tcp:127.0.0.1:{{ .SSHHostPort }}-:22"],
  ], [for socket in compact([var.qmp]) : ["-qmp", "unix:${socket},server=on,wait=off"]])

  # file() starts from this folder, provisioners from the current one.
  cd_label = "cidata"
  cd_content = {
    "meta-data" = "instance-id: bake-build\nlocal-hostname: bake-build\n"
    "user-data" = replace(file("../user-data/build.yaml"), "bake-build-key", trimspace(var.ssh_public_key))
  }

  http_directory    = var.artifacts
  http_bind_address = "127.0.0.1"

  communicator         = "ssh"
  ssh_username         = "root"
  ssh_private_key_file = var.ssh_private_key_file
  shutdown_command     = "systemctl poweroff"
  shutdown_timeout     = "5m"

  # Emulated, a boot takes minutes, and of another architecture or on a busy machine many of them.
  ssh_timeout = var.accelerator == "kvm" ? "15m" : "60m"

  # Comes with sshd; a base may have no scp.
  ssh_file_transfer_method = "sftp"

  # Tried after the key: the way in of the first connection alone.
  ssh_password = var.root_password

  vm_name          = "image.qcow2"
  output_directory = var.output
}

build {
  sources = ["source.qemu.node"]

  # Others know this password, too: it ends before anything is laid. `*` and not `!`, with which some sshd refuse a key too.
  provisioner "shell" {
    inline = [
      "echo 'bake: step lock-password'",
      "install -d -m 0700 /root/.ssh",
      "echo '${trimspace(var.ssh_public_key)}' >>/root/.ssh/authorized_keys",
      "chmod 0600 /root/.ssh/authorized_keys",
      "! command -v restorecon >/dev/null || restorecon -R /root/.ssh",
      "usermod -p '*' root",
    ]
  }

  # Packer does not wait for user-data by itself.
  provisioner "shell" {
    inline = [
      "echo 'bake: step wait-cloud-init'",
      # Not there, or turned off.
      "if [ ! -d /run/cloud-init ] || [ -e /run/cloud-init/disabled ]; then",
      "  echo 'bake: cloud-init has no part in this boot'",
      "  install -d -m 0700 /var/tmp/bake && find /var/tmp/bake -mindepth 1 -delete",
      "  exit 0",
      "fi",
      # Its last act in every version; 17.1 has no status, and 23.4 ends with 2 for a warning.
      "for i in $(seq 900); do [ ! -e /var/lib/cloud/instance/boot-finished ] || break; sleep 1; done",
      "if [ ! -e /var/lib/cloud/instance/boot-finished ]; then",
      "  echo 'bake: failed cloud-init did not come to its end within 15 minutes'",
      "  cloud-init --version 2>&1 || echo 'there is no cloud-init on this base: a node gets its user-data by it'",
      "  cloud-init status --long || echo \"cloud-init status: exit $? (1: it failed; 2: before 17.2 no such command, from 23.4 on done with warnings)\"",
      "  tail -n 20 /var/log/cloud-init-output.log || true",
      "  exit 1",
      "fi",
      # Told, and no more: a module that this base cannot do is no fault of the bake, whose steps look after themselves.
      "grep -qs '\"errors\": \\[\\]' /run/cloud-init/result.json || { echo 'bake: cloud-init ended with errors:'; cat /run/cloud-init/result.json || true; }",
      # What another bake has uploaded, where this one starts from a layer of it.
      "install -d -m 0700 /var/tmp/bake && find /var/tmp/bake -mindepth 1 -delete",
    ]
  }

  provisioner "file" {
    source      = "${path.root}/../node"
    destination = "/var/tmp/bake/"
  }

  provisioner "file" {
    source      = "${path.root}/../provision/"
    destination = "/var/tmp/bake/"
  }

  provisioner "shell" {
    environment_vars = ["BAKE_ARTIFACTS=http://${build.PackerHTTPAddr}", "BAKE_LAYERS=${var.layers}", "BAKE_STAGES=${var.stages}", "BAKE_PACKAGES=/var/lib/bake-packages.tar.gz"]
    inline           = ["bash /var/tmp/bake/stages.sh /var/tmp/bake"]
  }

  # Not every system turns on what it installs. By the names of all versions.
  provisioner "shell" {
    inline = [
      "if [ ! -e /usr/lib/systemd/system/cloud-final.service ]; then",
      "  echo 'bake: failed cloud-init is not installed: a node gets its user-data by it'",
      "  exit 1",
      "fi",
      "rm -f /etc/cloud/cloud-init.disabled",
      "for unit in cloud-init-main cloud-init-local cloud-init-network cloud-init cloud-config cloud-final; do",
      "  if [ -e /usr/lib/systemd/system/$unit.service ]; then systemctl --no-reload --quiet enable $unit.service; fi",
      "done",
    ]
  }

  # The search for secrets compares with them: libraries have examples of credentials. Hygiene takes them away.
  provisioner "file" {
    direction   = "download"
    source      = "/var/lib/bake-packages.tar.gz"
    destination = var.packages
  }

  provisioner "shell" {
    inline = ["bash /var/tmp/bake/hygiene.sh"]
  }

  # What the VM has to say about a failed build, before it is thrown away; the prefix lets a reader split it out.
  error-cleanup-provisioner "shell" {
    inline = [
      "journalctl --no-pager -b -n 2000 | sed 's/^/bake: journal /'",
    ]
  }
}
