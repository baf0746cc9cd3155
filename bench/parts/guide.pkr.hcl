# What a team that has no bake would give Packer: a base, the guide's commands, an image. Made for bench/guide.ts.
packer {
  required_plugins {
    qemu = {
      source  = "github.com/hashicorp/qemu"
      version = ">= 1.0.9"
    }
  }
}

variable "base" { type = string }
variable "artifacts" { type = string }
variable "output" { type = string }
variable "ssh_private_key_file" { type = string }
variable "ssh_public_key" { type = string }
variable "accelerator" { type = string }
variable "cpu_model" { type = string }
variable "settings" { type = string }

source "qemu" "host" {
  iso_url              = var.base
  iso_checksum         = "none"
  disk_image           = true
  disk_compression     = true
  format               = "qcow2"
  disk_size            = "20G"
  disk_interface       = "virtio"
  disk_discard         = "unmap"
  disk_detect_zeroes   = "unmap"
  net_device           = "virtio-net"
  machine_type         = "q35"
  accelerator          = var.accelerator
  cpu_model            = var.cpu_model
  cpus                 = 2
  memory               = 2048
  headless             = true
  disable_vnc          = true
  cd_label             = "cidata"
  cd_content = {
    "meta-data" = "instance-id: by-hand\nlocal-hostname: by-hand\n"
    "user-data" = "#cloud-config\nusers: [{ name: root, ssh_authorized_keys: [${jsonencode(trimspace(var.ssh_public_key))}] }]\n"
  }
  http_directory       = var.artifacts
  http_bind_address    = "127.0.0.1"
  communicator         = "ssh"
  ssh_username         = "root"
  ssh_private_key_file = var.ssh_private_key_file
  ssh_timeout          = "60m"
  shutdown_command     = "systemctl poweroff"
  shutdown_timeout     = "5m"
  vm_name              = "image.qcow2"
  output_directory     = var.output
}

build {
  sources = ["source.qemu.host"]

  provisioner "file" {
    source      = var.settings
    destination = "/root/settings.sh"
  }

  provisioner "shell" {
    environment_vars = ["ARTIFACTS=http://${build.PackerHTTPAddr}"]
    script           = "${path.root}/guide.sh"
    execute_command  = "{{.Vars}} bash {{.Path}}"
  }
}
