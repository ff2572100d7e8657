# An umbrella as people have it on Fly: the release is named like none of its applications, env.sh is what flyctl
# generates for Phoenix, and runtime.exs insists on a secret. MALL_VERSION chooses the version.
defmodule Mall.MixProject do
  use Mix.Project

  def project do
    [
      apps_path: "apps",
      start_permanent: true,
      deps: [],
      releases: [mall: [version: "0.1.0", applications: [shop: :permanent, shop_web: :permanent]]]
    ]
  end
end
