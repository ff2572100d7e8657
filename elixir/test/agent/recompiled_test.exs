Code.require_file("versions.exs", __DIR__)

defmodule FlyDeployAgent.RecompiledTest do
  use ExUnit.Case

  alias FlyDeployAgent.{CodeFacts, FunctionChanges, Recompiled, Versions}

  @moduletag :tmp_dir

  # What a template becomes, with its print.
  @template """
  defmodule T.Page do
    def render(assigns) do
      dynamic = fn _track -> [assigns.title, rows(assigns)] end
      %{__struct__: Phoenix.LiveView.Rendered, static: ["<h1>", "</h1>", ""], dynamic: dynamic, root: true,
        caller: :not_available, fingerprint: 270981237227557118840528549096443258076}
    end

    defp rows(assigns) do
      %{__struct__: Phoenix.LiveView.Comprehension, static: ["<p>", "</p>"], dynamics: for(r <- assigns.rows, do: [r]),
        fingerprint: 36041833390343922082049561929213605340, stream: nil}
    end
  end
  """
  @anew @template
        |> String.replace(
          "270981237227557118840528549096443258076",
          "224241374961871602660092018606535942975"
        )
        |> String.replace("36041833390343922082049561929213605340", "136041833390343922082049561929213605340")

  defp change(old, new, dir, keys \\ %{}) do
    [{module, old_beam}] = Enum.to_list(Versions.beams(old))
    [{^module, new_beam}] = Enum.to_list(Versions.beams(new))
    md5 = :code.module_md5(old_beam)

    Map.merge(
      %{
        module: module,
        app: :live,
        consolidated: false,
        change: :changed,
        old_file: file(dir, "old", old_beam),
        old_md5: md5,
        file_md5: md5,
        source: file(dir, "new", new_beam),
        md5: :code.module_md5(new_beam)
      },
      keys
    )
  end

  defp file(dir, name, beam) do
    path = Path.join(dir, name <> ".beam")
    File.write!(path, beam)
    path
  end

  defp edited(from, to), do: String.replace(@template, from, to)

  test "templates that were compiled anew have other prints, and do what they did", %{tmp_dir: dir} do
    change = change(@template, @anew, dir)
    assert change.old_md5 != change.md5
    assert Recompiled.only?(change)
    FunctionChanges.each([change], &CodeFacts.functions_in/1, &send(self(), {&1, &2}))
    assert_received {T.Page, %{added: [], changed: [], removed: []}}
  end

  test "what a template says, what it shows, and who may call it, are changes", %{tmp_dir: dir} do
    for {from, to} <- [
          {"<h1>", "<h2>"},
          {"assigns.title", "assigns.name"},
          {"root: true", "root: false"},
          {"<p>", "<li>"},
          {"defp rows", "def rows"},
          {"  def render", "  @behaviour Access\n  def render"}
        ],
        do: refute(Recompiled.only?(change(@template, edited(from, to), dir)), "#{from} → #{to}")
  end

  test "a number of somebody else's under this name is told", %{tmp_dir: dir} do
    own = edited("Phoenix.LiveView.Rendered", "T.Rendered")

    refute Recompiled.only?(
             change(own, String.replace(own, "270981237227557118840528549096443258076", "1"), dir)
           )
  end

  test "code that is added, or does not run as its file has it, is no recompilation", %{tmp_dir: dir} do
    refute Recompiled.only?(change(@template, @anew, dir, %{change: :added, old_md5: nil, old_file: nil}))
    refute Recompiled.only?(change(@template, @anew, dir, %{old_md5: "loaded by hand"}))
    refute Recompiled.only?(change(@template, @anew, dir, %{old_file: Path.join(dir, "gone.beam")}))
  end

  test "a dependency that was only compiled anew is no changed one", %{tmp_dir: dir} do
    finding = fn name, subject -> %{name: name, severity: :block, subject: subject, detail: ""} end
    findings = [finding.("dependency_changed", "live"), finding.("app_file_changed", "live")]
    anew = change(@template, @anew, dir)
    assert Recompiled.dismissed(%{findings: findings, changes: [anew]}) == tl(findings)

    other = %{anew | change: :added}
    assert Recompiled.dismissed(%{findings: findings, changes: [anew, other]}) == findings
    # Those of another dependency, and protocols, which belong to whom implements them.
    changes = [anew, %{other | app: :other}, %{other | consolidated: true}]
    assert Recompiled.dismissed(%{findings: findings, changes: changes}) == tl(findings)
  end
end
