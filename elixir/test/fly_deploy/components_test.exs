unless Code.ensure_loaded?(Phoenix.LiveView.Rendered),
  do: Code.require_file("../../../engine/agent/testdata/zoo/lib/live_view.ex", __DIR__)

defmodule FlyDeploy.ComponentsTest do
  use ExUnit.Case, async: true

  alias Phoenix.LiveView.Rendered

  import FlyDeploy.Components

  defmodule Endpoint do
    def static_path("/assets/app.css"), do: "/assets/app-2b9.css?vsn=d"
    def static_path("/assets/css/app.css"), do: "/shop/assets/css/app-77c.css?vsn=d"
    def static_path(path), do: path
    def static_url, do: "https://cdn.example.com"

    def config(:cache_static_manifest_latest),
      do: %{
        "assets/app.css" => "assets/app-2b9.css",
        "assets/app-dark.css" => "assets/app-dark-1f0.css",
        "assets/app-x.js" => "assets/app-x-3.js"
      }
  end

  defmodule Undigested do
    def static_path(path), do: path
    def static_url, do: "http://localhost:4000"
    def config(:cache_static_manifest_latest), do: nil
  end

  defp html(assigns) do
    %Rendered{static: static, dynamic: dynamic, root: true, fingerprint: print} = hot_reload_css(assigns)

    assert is_integer(print)
    values = dynamic.(false)
    [first | rest] = static
    IO.iodata_to_binary([first | Enum.zip_with(values, rest, &[&1, &2])])
  end

  defp commands(html) do
    [_, escaped] = Regex.run(~r/phx-mounted="([^"]*)"/, html)

    text =
      Enum.reduce([{"&quot;", "\""}, {"&lt;", "<"}, {"&gt;", ">"}, {"&amp;", "&"}], escaped, fn {a, b}, t ->
        String.replace(t, a, b)
      end)

    {:ok, ops} = FlyDeploy.Json.decode(text)
    for ["set_attr", %{"attr" => ["href", href], "to" => to}] <- ops, do: {href, to}
  end

  test "a new path makes another element, which gives it to the page's links" do
    html = html(%{socket: %{endpoint: Endpoint}})
    assert html =~ ~s(<div id="fly-deploy-assets-app-css-app-2b9-css-vsn-d" hidden )

    assert [{"/assets/app-2b9.css?vsn=d", to}, {"https://cdn.example.com/assets/app-2b9.css?vsn=d", at_host}] =
             commands(html)

    assert to =~
             "link[href^='/assets/app-'][href*='.css']:not([href*='/assets/app-dark-']):not([href*='/assets/app-dark.css'])"

    assert to =~ "link[href^='/assets/app.css']"
    assert to =~ ":not([href='/assets/app-2b9.css?vsn=d'])"
    assert at_host =~ "link[href^='https://cdn.example.com/assets/app-']"
  end

  test "files below a path of the endpoint's own, and names that come twice" do
    html = html(%{socket: %{endpoint: Endpoint}, asset: "css/app.css", id: "styles"})
    assert html =~ ~s(id="styles-app-77c-css-vsn-d")
    assert [{"/shop/assets/css/app-77c.css?vsn=d", to}, _] = commands(html)
    assert to =~ "link[href^='/shop/assets/css/app-']"
  end

  test "without digests, a path from the root, and characters that end a quotation" do
    html = html(%{socket: %{endpoint: Undigested}, asset: "/o'\"k.css"})
    assert [{"/o'\"k.css", to}, _] = commands(html)
    assert to =~ ~S"link[href^='/o\'"
  end

  test "says what is missing" do
    assert_raise ArgumentError, ~r/socket=\{@socket\}/, fn -> hot_reload_css(%{asset: "app.css"}) end
  end
end
