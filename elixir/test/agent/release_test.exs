defmodule FlyDeployAgent.ReleaseTest do
  use ExUnit.Case, async: true

  alias FlyDeployAgent.Release

  @moduletag :tmp_dir

  defp written(dir, text) do
    file = Path.join(dir, "some.app")
    File.write!(file, text)
    file
  end

  test "what .app files say is what OTP reads in them" do
    for {app, _, _} <- Application.loaded_applications() do
      file = Path.join(Release.app_dir(app), "ebin/#{app}.app")
      assert {:ok, [{:application, ^app, keys}]} = :file.consult(file)
      assert keys == Release.app_keys(file)
    end
  end

  test "characters beyond ASCII, comments and strings over lines are read", %{tmp_dir: dir} do
    file =
      written(
        dir,
        "%% Grüße\n{application, some,\n [{description, \"Tür\n\\x{2603}\"}, {modules, ['Elixir.Ä']}]}.\n"
      )

    assert Release.app_keys(file) == [description: ~c"Tür\n☃", modules: [:"Elixir.Ä"]]
    assert {:ok, [{:application, :some, keys}]} = :file.consult(file)
    assert keys == Release.app_keys(file)
  end

  test "what is no description of an application says nothing", %{tmp_dir: dir} do
    for text <- [
          "",
          "{application, some, [",
          "{other, some, []}.",
          "{application, some, []}. {more}.",
          <<"\"", 0xFF, "\".">>
        ],
        do: assert(Release.app_keys(written(dir, text)) == [])

    assert Release.app_keys(Path.join(dir, "none.app")) == []
  end
end
