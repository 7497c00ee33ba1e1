# The formula of a release. `cargo xtask dist` writes the version and the checksum into it.
class Beadle < Formula
  desc "Keeps GitHub repositories and access groups as declared"
  homepage "https://github.com/beadle-rs/beadle"
  url "https://github.com/beadle-rs/beadle/releases/download/v@VERSION@/beadle-@VERSION@-source.tar.gz"
  sha256 "@SHA256@"
  license any_of: ["MIT", "Apache-2.0"]

  depends_on "rust" => :build

  def install
    system "cargo", "install", "--features", "postgres,otel,sso", *std_cargo_args(path: "crates/beadle")
    generate_completions_from_executable(bin/"beadle", "completions", shells: [:bash, :fish, :zsh])
  end

  test do
    assert_match version.to_s, shell_output("#{bin}/beadle --version")
  end
end
