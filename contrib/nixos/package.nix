# The module, the tool and what belongs to them, of a checkout or of unpacked sources:
#
#   pkgs.callPackage ./contrib/nixos/package.nix { }
#
# Sources with vendor/, as those of a release, need no network.
{
  lib,
  buildGoModule,
  pam,
  scdoc,
  glibc,
  src ? ../..,
  # null: the modules are in vendor/. Without that, the hash that the first build prints.
  vendorHash ? null,
}:

buildGoModule {
  pname = "pam_cgdeleg";
  version = lib.fileContents ../../VERSION;
  inherit src vendorHash;

  nativeBuildInputs = [ scdoc ];
  # The tool is a static program.
  buildInputs = [
    pam
    glibc.static
  ];

  # The module is linked by a script of the Makefile's.
  buildPhase = ''
    runHook preBuild
    make all man completions doc PREFIX=$out PAMDIR=$out/lib/security
    runHook postBuild
  '';

  checkPhase = ''
    runHook preCheck
    go test ./delegate/... ./cmd/... ./pam/worker/...
    runHook postCheck
  '';

  installPhase = ''
    runHook preInstall
    make install INIT=systemd PREFIX=$out SYSCONFDIR=$out/etc PAMDIR=$out/lib/security
    runHook postInstall
  '';

  meta = {
    description = "PAM module that gives every login cgroups of its own";
    homepage = "https://github.com/cgdeleg/pam_cgdeleg";
    license = with lib.licenses; [
      asl20
      bsd3
      bsd2
      mit
    ];
    platforms = lib.platforms.linux;
    mainProgram = "cgdeleg";
  };
}
