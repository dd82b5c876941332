# imports = [ /path/to/pam_cgdeleg/contrib/nixos/module.nix ];
# services.cgdeleg.enable = true;
{
  config,
  lib,
  pkgs,
  ...
}:

let
  cfg = config.services.cgdeleg;
in
{
  options.services.cgdeleg = {
    enable = lib.mkEnableOption "cgroups of their own for logins, by pam_cgdeleg";

    package = lib.mkOption {
      type = lib.types.package;
      default = pkgs.callPackage ./package.nix { };
      defaultText = lib.literalExpression "pkgs.callPackage ./package.nix { }";
      description = "The package of the module and of the tool.";
    };

    pamServices = lib.mkOption {
      type = lib.types.listOf lib.types.str;
      default = [
        "login"
        "sshd"
        "su"
      ];
      description = "The PAM services whose logins get a session.";
    };

    arguments = lib.mkOption {
      type = lib.types.listOf lib.types.str;
      default = [ ];
      example = [ "debug" ];
      description = "What follows pam_cgdeleg.so on the PAM line, see pam_cgdeleg(8).";
    };

    limits = lib.mkOption {
      type = lib.types.lines;
      default = "";
      example = "* user memory.max=50% pids.max=4096";
      description = "The contents of /etc/cgdeleg/limits.conf, see cgdeleg-limits.conf(5).";
    };
  };

  config = lib.mkIf cfg.enable {
    environment.systemPackages = [ cfg.package ];
    environment.etc = lib.mkIf (cfg.limits != "") {
      "cgdeleg/limits.conf".text = cfg.limits;
    };

    # After pam_systemd's, whose scope the module gives to the user.
    security.pam.services = lib.genAttrs cfg.pamServices (name: {
      rules.session.cgdeleg = {
        order = config.security.pam.services.${name}.rules.session.systemd.order + 10;
        control = "optional";
        modulePath = "${cfg.package}/lib/security/pam_cgdeleg.so";
        args = cfg.arguments;
      };
    });

    # The drop-ins: systemd delegates the scopes of logins, and a user's slice has its limits
    # before the first process.
    systemd.packages = [ cfg.package ];
    systemd.services.cgdeleg-cleanup = {
      description = "Remove dead sessions of pam_cgdeleg";
      startAt = "hourly";
      serviceConfig = {
        Type = "oneshot";
        ExecStart = "${cfg.package}/bin/cgdeleg cleanup";
      };
    };
    systemd.tmpfiles.rules = [ "d /run/cgdeleg 0700 root root -" ];
  };
}
