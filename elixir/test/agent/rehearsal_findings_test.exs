Code.require_file("versions.exs", __DIR__)

defmodule FlyDeployAgent.RehearsalFindingsTest do
  use ExUnit.Case

  alias FlyDeployAgent.{RehearsalFindings, Versions}

  @source """
  defmodule T.Part do
    @behaviour Phoenix.LiveComponent
    def render(assigns), do: assigns.n
  end

  defmodule T.Other do
    @behaviour Phoenix.LiveComponent
    def render(assigns), do: assigns.n
  end
  """

  # Both take what no page has; the page that was tried failed in one of them.
  test "what a component takes that has failed is told once" do
    new = String.replace(@source, "assigns.n", "if(assigns.n > 3, do: assigns.later, else: assigns.n)")
    pairs = Versions.pairs(Versions.beams(@source), Versions.beams(new))
    kind = %{module: T.Page, kind: :gen_server, server: T.Page, unit: nil, page: true, pids: [self()]}
    well = {:ok, %{before: "", after: "", left: [], root_changed: false, keys: [:n]}}

    failed =
      {:failed, :page, :certain, "KeyError", ["T.Part.render/1 (part.ex:3)", "T.Page.render/1 (page.ex:9)"]}

    findings = RehearsalFindings.all([%{kind: kind, told: [well, failed], large: 0, why: nil}], pairs)

    assert ["T.Other"] == for(%{name: "may_raise", subject: subject} <- findings, do: subject)
    assert ["T.Page"] == for(%{name: "render_fails", subject: subject} <- findings, do: subject)
  end
end
